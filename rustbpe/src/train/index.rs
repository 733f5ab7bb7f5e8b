//! Finding the pairs worth tracking: at the start, and whenever those that were tracked run dry.
//!
//! Most pairs are never merged, so only those that occur `threshold` times are tracked. When none
//! of them is left, every other pair is below the threshold too: it is lowered, and the words are
//! indexed again, which loses nothing because counts only fall.

mod buckets;
mod table;

use super::pairs::{Pairs, Tracked};
use crate::word::{Id, Words};
use buckets::Buckets;
use table::Table;

/// What decides how much is tracked; no choice changes the merges.
#[derive(Clone, Copy)]
pub(crate) struct Tuning {
    /// Up to this many ids the pairs are counted in a square table.
    pub max_table_ids: usize,
    /// The first index tracks this many pairs: with few places, the merges that shorten words most.
    pub num_first: usize,
    /// A later index tracks pairs for this share of the merges still wanted: new ones do the rest.
    pub later_percent: usize,
    /// A threshold is lowered at least by this factor, so that there are few indices.
    pub min_step: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            max_table_ids: 1 << 10,
            num_first: 512,
            later_percent: 70,
            min_step: 4,
        }
    }
}

/// An index under construction, in steps.
pub(crate) enum Index {
    Table(Table),
    Buckets(Buckets),
}

impl Index {
    /// Begins to index the words; `num_wanted` merges are still to be made.
    pub fn start<I: Id>(
        words: &Words<I>,
        pairs: &mut Pairs,
        num_wanted: usize,
        tuning: &Tuning,
    ) -> Self {
        let num_ids = words.spans.len();
        let share = num_wanted.saturating_mul(tuning.later_percent) / 100;
        let is_first = pairs.threshold() == u64::MAX;
        let rank = if is_first {
            share.min(tuning.num_first)
        } else {
            share
        };
        let highest = pairs.threshold() / tuning.min_step;
        // Releases what the last index holds before this one needs memory.
        pairs.restart(highest.max(1));
        if num_ids <= tuning.max_table_ids {
            Self::Table(Table::new(num_ids, rank))
        } else {
            Self::Buckets(Buckets::new(num_ids))
        }
    }

    /// Goes on until `fuel` tokens have been looked at; returns whether the index is complete.
    pub fn run<I: Id>(
        &mut self,
        words: &mut Words<I>,
        pairs: &mut Pairs,
        fuel: &mut usize,
    ) -> bool {
        match self {
            Self::Table(table) => table.run(words, pairs, fuel),
            Self::Buckets(buckets) => buckets.run(words, pairs, fuel),
        }
    }

    pub fn memory_bytes(&self) -> usize {
        match self {
            Self::Table(table) => table.memory_bytes(),
            Self::Buckets(buckets) => buckets.memory_bytes(),
        }
    }
}

/// Burns fuel for the slots from `at` on; returns the one behind the last that it suffices for,
/// which is the right half of its pair.
fn reach<I: Id>(words: &Words<I>, at: u32, fuel: &mut usize) -> usize {
    let begin = at as usize;
    let end = (words.slots.len() - 1).min(begin.saturating_add(*fuel));
    *fuel = fuel.saturating_sub(end - begin);
    end
}

/// What is known of a pair before it is listed.
#[derive(Clone, Copy, Default)]
struct Cell {
    count: u64,
    num_places: u32,
    // Where its next place goes; 0 for pairs that are not listed.
    next: u32,
}

impl Cell {
    fn list(&self, start: usize) -> Tracked {
        Tracked {
            count: self.count,
            start,
            len: self.num_places as usize,
        }
    }
}
