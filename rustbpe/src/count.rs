//! Counting distinct words with all cores.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustc_hash::FxHashMap;

use crate::error::Error;
use crate::split::Splitter;

/// Below this many bytes a batch is counted on the calling thread: starting threads costs more.
const MIN_PARALLEL_BYTES: usize = 64 * 1024;
/// Documents that a thread claims at a time.
const CLAIM: usize = 16;

/// How much text to read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Characters over all documents.
    pub max_chars: u64,
    /// Characters of one document.
    pub max_doc_chars: u64,
}

/// Distinct words with their counts, filled batch by batch.
pub struct Counter {
    // One table per thread, kept over the batches, so that counting needs no lock.
    workers: Vec<Worker>,
    limits: Limits,
    num_docs: u64,
    num_chars: u64,
}

struct Worker {
    splitter: Splitter,
    counts: FxHashMap<Box<[u8]>, u64>,
    result: Result<(), Error>,
}

impl Counter {
    /// Prepares `num_threads` threads to count the words of `pattern`.
    ///
    /// # Errors
    /// `Error::Pattern` when the pattern does not compile.
    pub fn new(pattern: &str, limits: Limits, num_threads: NonZeroUsize) -> Result<Self, Error> {
        let workers = (0..num_threads.get())
            .map(|_| {
                Ok(Worker {
                    splitter: Splitter::new(pattern)?,
                    counts: FxHashMap::default(),
                    result: Ok(()),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            workers,
            limits,
            num_docs: 0,
            num_chars: 0,
        })
    }

    /// Counts a batch of documents; returns false once `max_chars` is reached.
    ///
    /// # Errors
    /// `Error::Split` when the pattern gives up on a document.
    pub fn feed<S: AsRef<str>>(&mut self, docs: &[S]) -> Result<bool, Error> {
        let mut batch = Vec::with_capacity(docs.len());
        for doc in docs {
            let room = self.limits.max_chars - self.num_chars;
            if room == 0 {
                break;
            }
            let (text, num_chars) = prefix(doc.as_ref(), room.min(self.limits.max_doc_chars));
            self.num_docs += 1;
            self.num_chars += num_chars;
            batch.push(text);
        }
        self.count(&batch)?;
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

    /// Returns the distinct words in byte order, whatever thread met them.
    pub fn words(&mut self) -> Vec<(&[u8], u64)> {
        let Some((first, others)) = self.workers.split_first_mut() else {
            return Vec::new();
        };
        for worker in others {
            for (word, count) in worker.counts.drain() {
                *first.counts.entry(word).or_default() += count;
            }
        }
        let counts = first.counts.iter();
        let mut words: Vec<_> = counts.map(|(word, count)| (&**word, *count)).collect();
        words.sort_unstable();
        words
    }

    fn count(&mut self, batch: &[&str]) -> Result<(), Error> {
        let next = AtomicUsize::new(0);
        let num_bytes: usize = batch.iter().map(|text| text.len()).sum();
        let num_threads = if num_bytes < MIN_PARALLEL_BYTES {
            1
        } else {
            self.workers.len()
        };
        match &mut self.workers[..num_threads] {
            [worker] => worker.run(batch, &next),
            workers => thread::scope(|scope| {
                for worker in workers {
                    let next = &next;
                    scope.spawn(move || worker.run(batch, next));
                }
            }),
        }
        self.workers
            .iter_mut()
            .try_for_each(|worker| std::mem::replace(&mut worker.result, Ok(())))
    }
}

impl Worker {
    fn run(&mut self, batch: &[&str], next: &AtomicUsize) {
        loop {
            let start = next.fetch_add(CLAIM, Ordering::Relaxed);
            if start >= batch.len() {
                return;
            }
            let end = batch.len().min(start + CLAIM);
            for text in &batch[start..end] {
                self.result = self.add(text);
                if self.result.is_err() {
                    return;
                }
            }
        }
    }

    fn add(&mut self, text: &str) -> Result<(), Error> {
        let counts = &mut self.counts;
        self.splitter.for_each(text, |word| {
            // Most words are known: look up before paying for an owned key.
            if let Some(count) = counts.get_mut(word.as_bytes()) {
                *count += 1;
            } else {
                counts.insert(word.as_bytes().into(), 1);
            }
        })
    }
}

/// Returns the first `max_chars` characters and how many there are.
fn prefix(text: &str, max_chars: u64) -> (&str, u64) {
    let limit = usize::try_from(max_chars).unwrap_or(usize::MAX);
    if text.len() > limit {
        if let Some((end, _)) = text.char_indices().nth(limit) {
            return (&text[..end], max_chars);
        }
    }
    (text, text.chars().count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::PATTERN;

    fn counter(max_chars: u64, max_doc_chars: u64, num_threads: usize) -> Counter {
        let limits = Limits {
            max_chars,
            max_doc_chars,
        };
        Counter::new(PATTERN, limits, NonZeroUsize::new(num_threads).unwrap()).unwrap()
    }

    #[test]
    fn limits_are_in_characters_and_exact() {
        let mut counter = counter(7, 4, 1);
        assert!(counter.feed(&["ééééé"]).unwrap());
        assert!(!counter.feed(&["abcdef", "never read"]).unwrap());
        assert_eq!((counter.num_docs(), counter.num_chars()), (2, 7));
        assert_eq!(
            counter.words(),
            [("abc".as_bytes(), 1), ("éééé".as_bytes(), 1)]
        );
    }

    #[test]
    fn any_number_of_threads_counts_the_same() {
        let docs: Vec<String> = (0..5_000)
            .map(|i| format!("doc {i} says the same thing {}\n", i % 7))
            .collect();
        let mut one = counter(u64::MAX, u64::MAX, 1);
        let mut four = counter(u64::MAX, u64::MAX, 4);
        for batch in docs.chunks(1_999) {
            one.feed(batch).unwrap();
            four.feed(batch).unwrap();
        }
        assert_eq!(one.words(), four.words());
    }
}
