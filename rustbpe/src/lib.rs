//! Byte-level BPE: training (split text into words, count them, merge pairs) and encoding.
//!
//! Everything but `py` is free of Python, so `cargo test` needs none. What training gives depends on the
//! word counts alone, never on threads or hashing: naive BPE, where the most frequent pair is
//! merged and ties go to the smallest (left id, right id).

mod count;
mod encode;
mod error;
#[cfg(feature = "python")]
mod py;
mod split;
mod train;
pub mod utf8;
mod vocab;
mod word;

pub use count::{Counter, Limits};
pub use encode::{Encoded, Encoder, Ids, Options, ShouldStop};
pub use error::Error;
pub use split::{GPT2_PATTERN, GPT4_PATTERN, LAB_PATTERN, Splitter};
pub use train::{Progress, Trainer};
pub use word::Pair;
