//! The merge loop: pair counts kept up to date, a heap that is corrected when it is read.
//!
//! Exact, because counts only fall: an id is produced in its own step and never again, so every
//! pair is complete when it is born, and a heap entry can be too high but never too low. An entry
//! that no longer matches its count goes back with the true one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;

use crate::error::Error;
use crate::word::{Changes, Pair, Words};

const NUM_BYTES: u32 = 256;

/// How far training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Merges made so far.
    pub num_merges: usize,
    /// Whether there is nothing left to do: enough merges, or no pair left to merge.
    pub is_done: bool,
}

/// Training under way; `advance` it until it is done.
pub struct Trainer {
    words: Words,
    pairs: FxHashMap<Pair, PairState>,
    heap: BinaryHeap<Candidate>,
    merges: Vec<Pair>,
    max_merges: usize,
    is_exhausted: bool,
}

#[derive(Default)]
struct PairState {
    count: i64,
    // Words that held the pair when it was born, each once; some may have lost it since.
    words: Vec<u32>,
}

/// Ordered by what is merged first: the highest count, then the smallest ids.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    count: i64,
    pair: Reverse<Pair>,
}

impl Trainer {
    /// Prepares to make at most `max_merges` merges from distinct words and their counts.
    ///
    /// # Errors
    /// When ids, words or counts do not fit their types.
    pub fn new<'w>(
        words: impl IntoIterator<Item = (&'w [u8], u64)>,
        max_merges: usize,
    ) -> Result<Self, Error> {
        if max_merges > (u32::MAX - NUM_BYTES) as usize {
            return Err(Error::TooManyMerges(max_merges));
        }
        let words = Words::new(words)?;
        let mut pairs: FxHashMap<Pair, PairState> = FxHashMap::default();
        for (number, count, ids) in words.iter() {
            for two in ids.windows(2) {
                let state = pairs.entry((two[0], two[1])).or_default();
                state.add(number, count);
            }
        }
        let heap = pairs
            .iter()
            .map(|(&pair, state)| Candidate::new(pair, state.count))
            .collect();
        Ok(Self {
            words,
            pairs,
            heap,
            merges: Vec::new(),
            max_merges,
            is_exhausted: false,
        })
    }

    /// Makes at most `limit` merges.
    pub fn advance(&mut self, limit: usize) -> Progress {
        let target = self.max_merges.min(self.merges.len().saturating_add(limit));
        while self.merges.len() < target {
            let Some(pair) = self.next_pair() else {
                self.is_exhausted = true;
                break;
            };
            self.merge(pair);
        }
        Progress {
            num_merges: self.merges.len(),
            is_done: self.is_exhausted || self.merges.len() >= self.max_merges,
        }
    }

    /// The merges so far: number k makes id 256 + k.
    #[must_use]
    pub fn merges(&self) -> &[Pair] {
        &self.merges
    }

    fn next_pair(&mut self) -> Option<Pair> {
        while let Some(Candidate { count, pair }) = self.heap.pop() {
            let current = self.pairs.get(&pair.0).map_or(0, |state| state.count);
            if current == count {
                return Some(pair.0);
            }
            if current > 0 {
                self.heap.push(Candidate::new(pair.0, current));
            }
        }
        None
    }

    fn merge(&mut self, pair: Pair) {
        // `new` checked that every id fits.
        let id = NUM_BYTES.saturating_add(u32::try_from(self.merges.len()).unwrap_or(u32::MAX));
        self.merges.push(pair);
        let Some(state) = self.pairs.remove(&pair) else {
            return;
        };
        let mut born = Vec::new();
        let mut changes = Changes::default();
        for number in state.words {
            let count = self.words.merge(number, pair, id, &mut changes);
            for &gone in &changes.removed {
                forget(&mut self.pairs, gone, count);
            }
            for &new in &changes.added {
                match self.pairs.entry(new) {
                    Entry::Occupied(mut entry) => entry.get_mut().add(number, count),
                    Entry::Vacant(entry) => {
                        entry.insert(PairState::default()).add(number, count);
                        born.push(new);
                    }
                }
            }
        }
        for pair in born {
            if let Some(state) = self.pairs.get(&pair) {
                self.heap.push(Candidate::new(pair, state.count));
            }
        }
    }
}

fn forget(pairs: &mut FxHashMap<Pair, PairState>, pair: Pair, count: i64) {
    if let Entry::Occupied(mut entry) = pairs.entry(pair) {
        entry.get_mut().count -= count;
        if entry.get().count == 0 {
            entry.remove();
        }
    }
}

impl PairState {
    fn add(&mut self, word: u32, count: i64) {
        self.count += count;
        // Words are visited one after the other, so a repeat can only be the last one.
        if self.words.last() != Some(&word) {
            self.words.push(word);
        }
    }
}

impl Candidate {
    fn new(pair: Pair, count: i64) -> Self {
        let pair = Reverse(pair);
        Self { count, pair }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    /// Recounts every pair before every merge.
    fn naive(words: &[(Vec<u8>, u64)], max_merges: usize) -> Vec<Pair> {
        let mut words: Vec<(Vec<u32>, u64)> = words
            .iter()
            .map(|(bytes, count)| (bytes.iter().map(|&b| u32::from(b)).collect(), *count))
            .collect();
        let mut merges = Vec::new();
        while merges.len() < max_merges {
            let mut counts: BTreeMap<Pair, u64> = BTreeMap::new();
            for (ids, count) in &words {
                for two in ids.windows(2) {
                    *counts.entry((two[0], two[1])).or_default() += count;
                }
            }
            let Some((&pair, _)) = counts.iter().max_by_key(|(pair, n)| (**n, Reverse(**pair)))
            else {
                break;
            };
            let id = 256 + u32::try_from(merges.len()).unwrap();
            merges.push(pair);
            for (ids, _) in &mut words {
                let mut out = Vec::new();
                let mut i = 0;
                while i < ids.len() {
                    if ids[i] == pair.0 && ids.get(i + 1) == Some(&pair.1) {
                        out.push(id);
                        i += 2;
                    } else {
                        out.push(ids[i]);
                        i += 1;
                    }
                }
                *ids = out;
            }
        }
        merges
    }

    fn train(words: &[(Vec<u8>, u64)], max_merges: usize, step: usize) -> Vec<Pair> {
        let counted = words.iter().map(|(bytes, count)| (&bytes[..], *count));
        let mut trainer = Trainer::new(counted, max_merges).unwrap();
        while !trainer.advance(step).is_done {}
        trainer.merges().to_vec()
    }

    /// A small generator with a fixed seed: corpora must not change between runs.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % sides
        }

        fn corpus(&mut self) -> Vec<(Vec<u8>, u64)> {
            let letters = 1 + self.roll(4);
            let num_words = 1 + self.roll(12);
            let mut corpus = BTreeMap::new();
            for _ in 0..num_words {
                let len = 1 + self.roll(24);
                let word: Vec<u8> = (0..len)
                    .map(|_| b'a' + u8::try_from(self.roll(letters)).unwrap())
                    .collect();
                corpus.insert(word, 1 + self.roll(3));
            }
            corpus.into_iter().collect()
        }
    }

    #[test]
    fn merges_equal_the_naive_trainer() {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for _ in 0..3_000 {
            let corpus = dice.corpus();
            assert_eq!(train(&corpus, 40, 3), naive(&corpus, 40), "{corpus:?}");
        }
    }

    #[test]
    fn no_two_merges_make_the_same_bytes() {
        let mut dice = Dice(0x1234_5678_9abc_def1);
        for _ in 0..3_000 {
            let corpus = dice.corpus();
            let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
            for (left, right) in train(&corpus, 200, 200) {
                let token = [&tokens[left as usize][..], &tokens[right as usize][..]].concat();
                tokens.push(token);
            }
            let distinct: HashSet<_> = tokens.iter().collect();
            assert_eq!(distinct.len(), tokens.len(), "{corpus:?}");
        }
    }

    #[test]
    fn ties_go_to_the_smallest_ids() {
        let corpus = [
            (b"zy".to_vec(), 2),
            (b"ab".to_vec(), 2),
            (b"ac".to_vec(), 2),
        ];
        assert_eq!(train(&corpus, 2, 1), [(97, 98), (97, 99)]);
    }

    #[test]
    fn training_ends_when_no_pair_is_left() {
        let corpus = [(b"abc".to_vec(), 1), (b"x".to_vec(), 9)];
        assert_eq!(train(&corpus, 100, 7), [(97, 98), (256, 99)]);
        assert!(train(&[], 100, 7).is_empty());
    }

    #[test]
    fn counts_past_32_bits_are_kept() {
        let corpus = [(b"ab".to_vec(), 1 << 40), (b"cd".to_vec(), (1 << 40) + 1)];
        assert_eq!(train(&corpus, 1, 1), [(99, 100)]);
    }

    #[test]
    fn too_many_merges_are_an_error() {
        let limit = u32::MAX as usize;
        assert_eq!(
            Trainer::new([], limit).err(),
            Some(Error::TooManyMerges(limit))
        );
    }
}
