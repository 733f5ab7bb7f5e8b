//! The ids of some parts, and all of them end to end.

use std::sync::atomic::AtomicBool;

use super::Encoded;
use super::id::Id;
use super::parts::{Deal, Part};
use super::worker::Worker;
use crate::error::Error;
use crate::vocab::Vocab;

/// Text has about four bytes for a token: the first guess at the size of the output.
const BYTES_PER_TOKEN: usize = 4;

/// The ids of a deal.
pub(super) struct Chunk<T> {
    pub(super) index: usize,
    ids: Vec<T>,
    /// Where the ids of each part end.
    ends: Vec<usize>,
}

impl<T: Id> Chunk<T> {
    pub(super) fn encode(
        deal: Deal<'_, '_>,
        vocab: &Vocab,
        worker: &mut Worker<T>,
        prefix: Option<T>,
        stop: &AtomicBool,
    ) -> Result<Self, Error> {
        let mut ids = Vec::with_capacity(deal.num_bytes / BYTES_PER_TOKEN + deal.parts.len());
        let mut ends = Vec::with_capacity(deal.parts.len());
        for part in deal.parts {
            if part.is_start {
                ids.extend(prefix);
            }
            worker.encode(vocab, part.text, &mut ids, stop, |_| ())?;
            ends.push(ids.len());
        }
        let index = deal.index;
        Ok(Self { index, ids, ends })
    }
}

/// Puts the chunks of `parts`, which are in order, end to end.
pub(super) fn join<T: Id>(chunks: Vec<Chunk<T>>, parts: &[Part<'_>]) -> Encoded {
    let offsets = offsets(&chunks, parts);
    let num_ids: usize = chunks.iter().map(|chunk| chunk.ids.len()).sum();
    let mut chunks = chunks.into_iter();
    let mut ids = chunks.next().map_or_else(Vec::new, |first| first.ids);
    ids.reserve_exact(num_ids - ids.len());
    for chunk in chunks {
        ids.extend_from_slice(&chunk.ids);
    }
    ids.shrink_to_fit();
    Encoded {
        ids: T::into_ids(ids),
        offsets,
    }
}

fn offsets<T>(chunks: &[Chunk<T>], parts: &[Part<'_>]) -> Vec<i64> {
    let mut base = 0;
    let ends = chunks.iter().flat_map(|chunk| {
        let start = base;
        base += chunk.ids.len();
        chunk.ends.iter().map(move |end| start + end)
    });
    let mut offsets = Vec::with_capacity(parts.len() + 1);
    let mut last = 0;
    for (part, end) in parts.iter().zip(ends) {
        if part.is_start {
            offsets.push(offset(last));
        }
        last = end;
    }
    offsets.push(offset(last));
    offsets
}

/// A `Vec` holds fewer than 2^63 bytes.
#[expect(clippy::cast_possible_wrap, reason = "see above")]
pub(super) fn offset(index: usize) -> i64 {
    index as i64
}
