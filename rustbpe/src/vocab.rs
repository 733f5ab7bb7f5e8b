//! A list of tokens: id = index = rank, as tiktoken has it.
//!
//! tiktoken merges two neighbours when their bytes together are a token, the lowest rank first and
//! the leftmost among equals. There may be many ways to cut a token in two, and yet two neighbours
//! that make it are always the same two: the borders around them were there from the beginning, so
//! what happened between is what happens when the token's bytes are merged alone, and that has one
//! last step. So a token adds one pair to the table, or none when its bytes alone never come
//! together; then it is found only by a look at the whole word.

use std::sync::atomic::AtomicBool;

use rustc_hash::FxHashMap;

use crate::error::Error;
use merge::merge;
pub(crate) use pairs::{MAX_TOKENS, Rank};
use pairs::{NONE, PairTable};

mod merge;
mod pairs;
mod queue;
#[cfg(test)]
mod tests;

const NUM_BYTES: usize = 256;

/// The tokens, and what merging asks about them.
pub(crate) struct Vocab {
    /// Bytes of every token.
    lens: Vec<usize>,
    byte_ids: [Rank; NUM_BYTES],
    /// What two single bytes make: every merge begins with these, so they need no hashing.
    byte_pairs: Vec<Rank>,
    /// What two tokens make that are not both single bytes.
    pairs: PairTable,
    /// Tokens that merging does not come to.
    unmerged: FxHashMap<Box<[u8]>, Rank>,
    max_unmerged_len: usize,
}

impl Vocab {
    /// Indexes `tokens`; an empty token is a gap in the ids.
    pub(crate) fn new(tokens: &[impl AsRef<[u8]>]) -> Result<Self, Error> {
        if tokens.len() > MAX_TOKENS {
            return Err(Error::TooManyTokens(tokens.len()));
        }
        let mut vocab = Self {
            lens: tokens.iter().map(|token| token.as_ref().len()).collect(),
            byte_ids: [NONE; NUM_BYTES],
            byte_pairs: vec![NONE; NUM_BYTES * NUM_BYTES],
            pairs: PairTable::with_room(tokens.len()),
            unmerged: FxHashMap::default(),
            max_unmerged_len: 0,
        };
        let mut by_len: Vec<Rank> = (0..rank(tokens.len())).collect();
        by_len.sort_by_key(|id| vocab.lens[*id as usize]);
        let num_short = by_len.partition_point(|id| vocab.lens[*id as usize] < 2);
        let (short, long) = by_len.split_at(num_short);
        for id in short {
            vocab.add_byte(tokens[*id as usize].as_ref(), *id)?;
        }
        if let Some(byte) = (0..=u8::MAX).find(|byte| vocab.byte(*byte) == NONE) {
            return Err(Error::MissingByte(byte));
        }
        // What merging a token's bytes comes to depends on shorter tokens alone.
        let mut parts = Vec::new();
        for id in long {
            vocab.add(tokens[*id as usize].as_ref(), *id, &mut parts)?;
        }
        Ok(vocab)
    }

    pub(crate) fn len(&self) -> usize {
        self.lens.len()
    }

    /// Appends the ids of `word`, which is not empty, to `out`.
    ///
    /// # Errors
    /// `Error::Stopped` when `stop` was raised meanwhile.
    pub(crate) fn encode(
        &self,
        word: &[u8],
        out: &mut Vec<Rank>,
        stop: &AtomicBool,
    ) -> Result<(), Error> {
        if word.len() <= self.max_unmerged_len
            && let Some(id) = self.unmerged.get(word)
        {
            out.push(*id);
            return Ok(());
        }
        merge(self, word, out, stop)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let unmerged: usize = self.unmerged.keys().map(|token| token.len()).sum();
        self.lens.capacity() * size_of::<usize>()
            + self.byte_pairs.capacity() * size_of::<Rank>()
            + self.pairs.memory_bytes()
            + self.unmerged.capacity() * size_of::<(Box<[u8]>, Rank)>()
            + unmerged
    }

    fn add_byte(&mut self, token: &[u8], id: Rank) -> Result<(), Error> {
        if let [byte] = token {
            let known = &mut self.byte_ids[usize::from(*byte)];
            if *known != NONE {
                return Err(duplicate(*known, id));
            }
            *known = id;
        }
        Ok(())
    }

    /// Adds a token of two bytes or more.
    fn add(&mut self, token: &[u8], id: Rank, parts: &mut Vec<Rank>) -> Result<(), Error> {
        parts.clear();
        merge(self, token, parts, &AtomicBool::new(false))?;
        match (token, &parts[..]) {
            (_, [first]) => return Err(duplicate(*first, id)),
            ([left, right], _) => self.byte_pairs[byte_pair_index(*left, *right)] = id,
            (_, [left, right]) => self.pairs.add(*left, *right, id),
            _ => {
                self.max_unmerged_len = token.len();
                if let Some(first) = self.unmerged.insert(token.into(), id) {
                    return Err(duplicate(first, id));
                }
            }
        }
        Ok(())
    }

    fn byte(&self, byte: u8) -> Rank {
        self.byte_ids[usize::from(byte)]
    }

    fn byte_pair(&self, left: u8, right: u8) -> Rank {
        self.byte_pairs[byte_pair_index(left, right)]
    }

    fn pair(&self, left: Rank, right: Rank) -> Rank {
        self.pairs.get(left, right)
    }
}

fn byte_pair_index(left: u8, right: u8) -> usize {
    usize::from(left) * NUM_BYTES + usize::from(right)
}

fn duplicate(first: Rank, second: Rank) -> Error {
    Error::DuplicateToken {
        first: first as usize,
        second: second as usize,
    }
}

/// `MAX_TOKENS` keeps every id far below 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "bounded by MAX_TOKENS")]
fn rank(index: usize) -> Rank {
    index as Rank
}
