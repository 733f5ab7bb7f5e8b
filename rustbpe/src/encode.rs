//! Encoding in bulk: the ids of tiktoken, from all cores, in flat arrays.
//!
//! A word that is a token is that token. Any other is merged from its bytes, the lowest rank first.
//! Words come again and again, so every thread keeps the ids of those that it has met.

use std::num::NonZeroUsize;

use crate::error::Error;
use crate::split::Splitter;
use crate::vocab::Vocab;
use chunk::{Chunk, join, offset};
pub use id::Ids;
use id::{Id, Pools};
use parts::{Part, deal, parts};
use team::Team;

mod cache;
mod chunk;
mod id;
mod parts;
mod team;
#[cfg(test)]
mod tests;
mod worker;

const NARROW_IDS: usize = 1 << 16;

/// A vocabulary and a split pattern, ready to encode. It learns from what it encodes to be faster.
pub struct Encoder {
    vocab: Vocab,
    pattern: String,
    pools: Pools,
}

/// How to encode documents.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// An id to put before every document.
    pub prefix: Option<u32>,
    /// Threads at work; the calling thread waits for them.
    pub num_threads: NonZeroUsize,
}

/// Documents as ids, end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The ids of all documents.
    pub ids: Ids,
    /// Document `i` is `ids[offsets[i]..offsets[i + 1]]`.
    pub offsets: Vec<i64>,
}

/// Asked every now and then on the calling thread whether to give up.
pub type ShouldStop<'a> = &'a mut dyn FnMut() -> bool;

impl Encoder {
    /// Prepares `tokens`, whose ids are their places in the list, for texts split by `pattern`.
    ///
    /// An empty token is a gap in the ids.
    ///
    /// # Errors
    /// `Error::Pattern` when the pattern does not compile; `Error::MissingByte`,
    /// `Error::DuplicateToken` or `Error::TooManyTokens` when the tokens are no vocabulary.
    pub fn new(tokens: &[impl AsRef<[u8]>], pattern: &str) -> Result<Self, Error> {
        Splitter::new(pattern)?;
        Ok(Self {
            vocab: Vocab::new(tokens)?,
            pattern: pattern.to_owned(),
            pools: Pools::default(),
        })
    }

    /// Ids of the vocabulary, gaps included.
    #[must_use]
    pub fn num_tokens(&self) -> usize {
        self.vocab.len()
    }

    /// Memory of the vocabulary and of the words that are remembered.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.vocab.memory_bytes() + self.pools.memory_bytes()
    }

    /// Returns the ids of documents; any number of threads returns the same.
    ///
    /// # Errors
    /// `Error::Split` when the pattern gives up on a document, `Error::Stopped` after `should_stop`.
    pub fn encode<S: AsRef<str>>(
        &self,
        docs: &[S],
        options: Options,
        should_stop: ShouldStop,
    ) -> Result<Encoded, Error> {
        let prefix = options.prefix.unwrap_or(0) as usize;
        if self.num_tokens() <= NARROW_IDS && prefix < NARROW_IDS {
            self.encode_as::<u16, S>(docs, options, should_stop)
        } else {
            self.encode_as::<u32, S>(docs, options, should_stop)
        }
    }

    /// Returns the ids of a text and where each of its words ends, in bytes.
    ///
    /// # Errors
    /// As `encode`.
    pub fn encode_words(
        &self,
        text: &str,
        should_stop: ShouldStop,
    ) -> Result<(Ids, Vec<i64>), Error> {
        if self.num_tokens() <= NARROW_IDS {
            self.encode_words_as::<u16>(text, should_stop)
        } else {
            self.encode_words_as::<u32>(text, should_stop)
        }
    }

    /// Returns how often every id occurs in documents.
    ///
    /// # Errors
    /// As `encode`.
    pub fn count<S: AsRef<str>>(
        &self,
        docs: &[S],
        num_threads: NonZeroUsize,
        should_stop: ShouldStop,
    ) -> Result<Vec<i64>, Error> {
        if self.num_tokens() <= NARROW_IDS {
            self.count_as::<u16, S>(docs, num_threads, should_stop)
        } else {
            self.count_as::<u32, S>(docs, num_threads, should_stop)
        }
    }

    fn encode_as<T: Id, S: AsRef<str>>(
        &self,
        docs: &[S],
        options: Options,
        should_stop: ShouldStop,
    ) -> Result<Encoded, Error> {
        let parts = self.parts(docs, options.num_threads)?;
        let prefix = options.prefix.map(|id| T::from_index(id as usize));
        let chunks = self.team(options.num_threads, should_stop).run(
            &deal(&parts, options.num_threads),
            |worker, chunks: &mut Vec<Chunk<T>>, deal, stop| {
                chunks.push(Chunk::encode(deal, &self.vocab, worker, prefix, stop)?);
                Ok(())
            },
        )?;
        let mut chunks: Vec<_> = chunks.into_iter().flatten().collect();
        chunks.sort_unstable_by_key(|chunk| chunk.index);
        Ok(join(chunks, &parts))
    }

    fn encode_words_as<T: Id>(
        &self,
        text: &str,
        should_stop: ShouldStop,
    ) -> Result<(Ids, Vec<i64>), Error> {
        let parts = [Part {
            text,
            is_start: true,
        }];
        let found = self.team(NonZeroUsize::MIN, should_stop).run(
            &deal(&parts, NonZeroUsize::MIN),
            |worker, found: &mut (Vec<T>, Vec<i64>), _, stop| {
                let (ids, ends) = found;
                worker.encode(&self.vocab, text, ids, stop, |end| ends.push(offset(end)))
            },
        )?;
        let (ids, ends) = found.into_iter().next().unwrap_or_default();
        Ok((T::into_ids(ids), ends))
    }

    fn count_as<T: Id, S: AsRef<str>>(
        &self,
        docs: &[S],
        num_threads: NonZeroUsize,
        should_stop: ShouldStop,
    ) -> Result<Vec<i64>, Error> {
        let parts = self.parts(docs, num_threads)?;
        let counted = self.team(num_threads, should_stop).run(
            &deal(&parts, num_threads),
            |worker, counted: &mut (Vec<T>, Vec<i64>), deal, stop| {
                let (ids, counts) = counted;
                counts.resize(self.num_tokens(), 0);
                for part in deal.parts {
                    ids.clear();
                    worker.encode(&self.vocab, part.text, ids, stop, |_| ())?;
                    for id in &*ids {
                        counts[id.index()] += 1;
                    }
                }
                Ok(())
            },
        )?;
        let mut total = vec![0; self.num_tokens()];
        for (_, counts) in counted {
            total
                .iter_mut()
                .zip(counts)
                .for_each(|(total, count)| *total += count);
        }
        Ok(total)
    }

    fn parts<'d, S: AsRef<str>>(
        &self,
        docs: &'d [S],
        num_threads: NonZeroUsize,
    ) -> Result<Vec<Part<'d>>, Error> {
        Ok(parts(docs, &Splitter::new(&self.pattern)?, num_threads))
    }

    fn team<'a, T: Id>(
        &'a self,
        num_threads: NonZeroUsize,
        should_stop: ShouldStop<'a>,
    ) -> Team<'a, T> {
        Team {
            pool: T::pool(&self.pools),
            pattern: &self.pattern,
            num_threads,
            should_stop,
        }
    }
}
