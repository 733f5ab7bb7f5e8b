//! What can go wrong, in words for the person who called.

use std::fmt;

/// Every failure of this crate; none of them is a panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The split pattern does not compile.
    Pattern(String),
    /// The regex engine gave up on a text.
    Split { num_bytes: usize, reason: String },
    /// Bytes that are not UTF-8, in one of many rows or in the only document.
    Utf8 { row: Option<usize>, offset: usize },
    /// A vocabulary must hold every byte.
    MissingByte(u8),
    /// Two ids have the same bytes.
    DuplicateToken { first: usize, second: usize },
    /// More tokens than the pair table can number.
    TooManyTokens(usize),
    /// The caller asked to stop.
    Stopped,
    /// More merges than ids.
    TooManyMerges(usize),
    /// More distinct words than the position lists can number.
    TooManyWords(usize),
    /// The pairs occur more often than 63 bits can count.
    TooManyOccurrences,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(reason) => write!(out, "the split pattern does not compile: {reason}"),
            Self::Split { num_bytes, reason } => write!(
                out,
                "the split pattern gave up on a text of {num_bytes} bytes ({reason}); \
                 lower max_doc_chars or simplify the pattern"
            ),
            Self::Utf8 { row, offset } => {
                match row {
                    Some(row) => write!(out, "row {row}")?,
                    None => write!(out, "the document")?,
                }
                write!(
                    out,
                    " is not UTF-8 at byte {offset}; repair it, or let it be replaced"
                )
            }
            Self::Stopped => write!(out, "stopped before the end"),
            Self::MissingByte(byte) => write!(
                out,
                "no token is the byte {byte:#04x} alone; a vocabulary needs all 256"
            ),
            Self::DuplicateToken { first, second } => {
                write!(out, "tokens {first} and {second} have the same bytes")
            }
            Self::TooManyTokens(count) => write!(
                out,
                "{count} tokens are too many to encode with; at most {} fit",
                crate::vocab::MAX_TOKENS
            ),
            Self::TooManyMerges(count) => write!(out, "{count} merges do not fit 32-bit ids"),
            Self::TooManyWords(count) => {
                write!(out, "{count} distinct words are too many; lower max_chars")
            }
            Self::TooManyOccurrences => {
                write!(out, "the word counts sum past 63 bits; lower max_chars")
            }
        }
    }
}

impl std::error::Error for Error {}
