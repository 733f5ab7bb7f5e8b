//! The merge loop: pair counts kept up to date where the pairs are, not counted again.

mod index;
mod merge;
mod pairs;

use crate::error::Error;
use crate::word::{Id, NUM_BYTES, Pair, Words};
use index::{Index, Tuning};
use merge::Merge;
use pairs::Pairs;

/// Places or tokens looked at in one `advance`: about ten milliseconds of work.
const FUEL: usize = 1 << 19;

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
    width: Width,
    merges: Vec<Pair>,
    counts: Vec<u64>,
    max_merges: usize,
    is_exhausted: bool,
    peak_memory_bytes: usize,
    fuel: usize,
}

enum Width {
    Narrow(Loop<u16>),
    Wide(Loop<u32>),
}

impl Trainer {
    /// Prepares to make at most `max_merges` merges from words and their counts.
    ///
    /// The words are run through twice. Words of one byte and counts of 0 are left out; a word may
    /// come more than once.
    ///
    /// # Errors
    /// When ids, words or counts do not fit their types.
    pub fn new<'w, W>(words: W, max_merges: usize) -> Result<Self, Error>
    where
        W: IntoIterator<Item = (&'w [u8], u64)>,
        W::IntoIter: Clone,
    {
        if max_merges > (u32::MAX - NUM_BYTES) as usize {
            return Err(Error::TooManyMerges(max_merges));
        }
        let words = words.into_iter();
        // Stored ids are one too high, but the id of the last merge is never stored.
        let width = if max_merges + NUM_BYTES as usize <= 1 << 16 {
            Width::Narrow(Loop::new(words, Tuning::default())?)
        } else {
            Width::Wide(Loop::new(words, Tuning::default())?)
        };
        Ok(Self::with_width(width, max_merges))
    }

    fn with_width(width: Width, max_merges: usize) -> Self {
        let mut trainer = Self {
            width,
            merges: Vec::new(),
            counts: Vec::new(),
            max_merges,
            is_exhausted: false,
            peak_memory_bytes: 0,
            fuel: FUEL,
        };
        trainer.peak_memory_bytes = trainer.memory_bytes();
        trainer
    }

    /// Makes at most `limit` merges, fewer when they take long: the caller may want to stop.
    pub fn advance(&mut self, limit: usize) -> Progress {
        let target = self.max_merges.min(self.merges.len().saturating_add(limit));
        let mut fuel = self.fuel;
        while self.merges.len() < target && !self.is_exhausted && fuel > 0 {
            let num_wanted = self.max_merges - self.merges.len();
            let step = match &mut self.width {
                Width::Narrow(one) => one.step(num_wanted, &mut fuel),
                Width::Wide(one) => one.step(num_wanted, &mut fuel),
            };
            match step {
                Step::Merged((left, right), count) => {
                    self.merges.push((left - 1, right - 1));
                    self.counts.push(count);
                }
                Step::Indexed => {
                    self.peak_memory_bytes = self.peak_memory_bytes.max(self.memory_bytes());
                }
                Step::Unfinished => {}
                Step::Exhausted => self.is_exhausted = true,
            }
        }
        self.peak_memory_bytes = self.peak_memory_bytes.max(self.memory_bytes());
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

    /// How often the pair of each merge occurred when it was merged.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The heap memory in use.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let width = match &self.width {
            Width::Narrow(one) => one.memory_bytes(),
            Width::Wide(one) => one.memory_bytes(),
        };
        width
            + size_of::<Pair>() * self.merges.capacity()
            + size_of::<u64>() * self.counts.capacity()
    }

    /// The most heap memory that was in use.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> usize {
        self.peak_memory_bytes
    }
}

/// The merge loop for ids of one width.
struct Loop<I> {
    words: Words<I>,
    pairs: Pairs,
    merge: Merge<I>,
    task: Task,
    tuning: Tuning,
}

enum Task {
    Index(Index),
    Pick,
    Merge(Pair, u64),
}

enum Step {
    Merged(Pair, u64),
    Indexed,
    Unfinished,
    Exhausted,
}

impl<I: Id> Loop<I> {
    fn new<'w>(
        words: impl Iterator<Item = (&'w [u8], u64)> + Clone,
        tuning: Tuning,
    ) -> Result<Self, Error> {
        let words = Words::new(words)?;
        Ok(Self {
            merge: Merge::new(words.spans.len()),
            words,
            pairs: Pairs::new(),
            task: Task::Pick,
            tuning,
        })
    }

    /// Does what comes next, as far as the fuel goes.
    fn step(&mut self, num_wanted: usize, fuel: &mut usize) -> Step {
        match &mut self.task {
            Task::Pick => self.pick(num_wanted),
            Task::Index(index) => {
                if !index.run(&mut self.words, &mut self.pairs, fuel) {
                    return Step::Unfinished;
                }
                self.task = Task::Pick;
                Step::Indexed
            }
            Task::Merge(pair, count) => {
                let merged = Step::Merged(*pair, *count);
                if !self.merge.run(&mut self.words, &mut self.pairs, fuel) {
                    return Step::Unfinished;
                }
                *fuel = fuel.saturating_sub(1);
                self.task = Task::Pick;
                merged
            }
        }
    }

    fn pick(&mut self, num_wanted: usize) -> Step {
        let Some((pair, list)) = self.pairs.pop() else {
            if self.pairs.threshold() <= 1 {
                return Step::Exhausted;
            }
            self.task = Task::Index(Index::start(
                &self.words,
                &mut self.pairs,
                num_wanted,
                &self.tuning,
            ));
            return Step::Unfinished;
        };
        if num_wanted == 1 {
            // Nobody asks what the last merge changes.
            return Step::Merged(pair, list.count);
        }
        self.merge.start(&mut self.words, pair, list);
        self.task = Task::Merge(pair, list.count);
        Step::Unfinished
    }

    fn memory_bytes(&self) -> usize {
        let index = match &self.task {
            Task::Index(index) => index.memory_bytes(),
            Task::Pick | Task::Merge(..) => 0,
        };
        self.words.memory_bytes() + self.pairs.memory_bytes() + self.merge.memory_bytes() + index
    }
}

#[cfg(test)]
mod tests;
