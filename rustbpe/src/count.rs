//! Counting distinct words with all cores.
//!
//! Each thread counts into a small front table that stays in its own cache. When that is full it
//! goes to the shards, one table per range of hashes, which all threads share: no word is held
//! twice, however many threads there are.

mod front;
mod hash;
mod long;
mod shard;
mod short;
mod work;

use std::num::NonZeroUsize;

use crate::error::Error;
use crate::split::Splitter;
use front::Front;
use shard::{Shard, Shards};
use work::{Batch, Worker};

/// How much text to read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Characters over all documents.
    pub max_chars: u64,
    /// Characters of one document.
    pub max_doc_chars: u64,
}

impl Default for Limits {
    /// No limits.
    fn default() -> Self {
        Self {
            max_chars: u64::MAX,
            max_doc_chars: u64::MAX,
        }
    }
}

/// Distinct words with their counts, filled batch by batch.
pub struct Counter {
    workers: Vec<Worker>,
    shards: Vec<Shard>,
    limits: Limits,
    num_docs: u64,
    num_chars: u64,
}

impl Counter {
    /// Prepares `num_threads` threads to count the words of `pattern`.
    ///
    /// # Errors
    /// `Error::Pattern` when the pattern does not compile.
    pub fn new(pattern: &str, limits: Limits, num_threads: NonZeroUsize) -> Result<Self, Error> {
        let workers = (0..num_threads.get())
            .map(|_| Ok(Worker::new(Splitter::new(pattern)?)))
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            workers,
            shards: shard::all(),
            limits,
            num_docs: 0,
            num_chars: 0,
        })
    }

    /// Counts a batch of documents; returns false once `max_chars` is reached.
    ///
    /// # Errors
    /// `Error::Split` when the regex engine gives up on a document.
    pub fn feed<S: AsRef<str>>(&mut self, docs: &[S]) -> Result<bool, Error> {
        self.feed_while(docs, &mut || true)
    }

    /// Counts a batch of documents for as long as `go_on` says so.
    ///
    /// `go_on` is asked on the calling thread every few milliseconds. After an error the counter
    /// can be used on, but part of the batch has been counted, and its documents and characters
    /// are all in the sums.
    ///
    /// # Errors
    /// `Error::Stopped` when `go_on` returned false, and `feed`'s.
    pub fn feed_while<S: AsRef<str>>(
        &mut self,
        docs: &[S],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<bool, Error> {
        let mut texts = Vec::with_capacity(docs.len());
        for doc in docs {
            let room = self.limits.max_chars - self.num_chars;
            if room == 0 {
                break;
            }
            let (text, num_chars) = prefix(doc.as_ref(), room.min(self.limits.max_doc_chars));
            self.num_docs += 1;
            self.num_chars += num_chars;
            texts.push(text);
        }
        if let Some(first) = self.workers.first() {
            let batch = Batch::new(&texts, first.splitter());
            let shards = Shards::new(&mut self.shards);
            work::run(&mut self.workers, &batch, &shards, go_on)?;
        }
        Ok(self.num_chars < self.limits.max_chars)
    }

    /// Documents read, the last perhaps in part.
    #[must_use]
    pub fn num_docs(&self) -> u64 {
        self.num_docs
    }

    /// Characters read.
    #[must_use]
    pub fn num_chars(&self) -> u64 {
        self.num_chars
    }

    /// Distinct words so far.
    pub fn num_words(&mut self) -> usize {
        self.settle();
        self.shards.iter().map(Shard::len).sum()
    }

    /// Bytes that the tables take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let fronts = self.workers.iter().map(Worker::front);
        fronts.map(Front::memory_bytes).sum::<usize>()
            + self.shards.iter().map(Shard::memory_bytes).sum::<usize>()
    }

    /// Returns the distinct words with their counts, each once, in no order; no word is copied.
    pub fn counts(&mut self) -> impl Iterator<Item = (&[u8], u64)> + Clone {
        self.settle();
        self.shards.iter().flat_map(Shard::iter)
    }

    /// Returns the distinct words in byte order, whatever thread met them.
    pub fn words(&mut self) -> Vec<(&[u8], u64)> {
        let mut words: Vec<_> = self.counts().collect();
        words.sort_unstable();
        words
    }

    /// Moves what the fronts hold to the shards.
    fn settle(&mut self) {
        let shards = Shards::new(&mut self.shards);
        for worker in &mut self.workers {
            worker.front_mut().flush(&shards);
        }
    }
}

/// Returns the first `max_chars` characters and how many there are.
fn prefix(text: &str, max_chars: u64) -> (&str, u64) {
    let mut rest = usize::try_from(max_chars).unwrap_or(usize::MAX);
    if text.len() <= rest {
        return (text, num_chars(text.as_bytes()));
    }
    // Whole blocks first: counting a block is far faster than walking its characters.
    let mut at = 0;
    for block in text.as_bytes().chunks(1024) {
        let found = num_starts(block);
        if found > rest {
            break;
        }
        rest -= found;
        at += block.len();
    }
    for (offset, byte) in text.as_bytes()[at..].iter().enumerate() {
        if is_start(*byte) {
            if rest == 0 {
                return (&text[..at + offset], max_chars);
            }
            rest -= 1;
        }
    }
    (text, max_chars - rest as u64)
}

fn num_chars(text: &[u8]) -> u64 {
    text.chunks(1024)
        .map(|block| num_starts(block) as u64)
        .sum()
}

/// Characters that start in a short block.
fn num_starts(block: &[u8]) -> usize {
    // Sums of 16 bits: the compiler makes twice as many lanes of them as of 32.
    let starts: u16 = block.iter().map(|byte| u16::from(is_start(*byte))).sum();
    usize::from(starts)
}

/// Whether this byte of UTF-8 starts a character.
fn is_start(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

#[cfg(test)]
mod tests;
