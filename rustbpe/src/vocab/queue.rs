//! Merges to come, for pieces too long to look at all of them: lowest rank first, then leftmost.
//!
//! An entry may be outdated when it comes out; whoever takes it checks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use super::pairs::{NONE, Rank};

pub(super) trait Queue: Default {
    /// Adds a merge, unless there is nothing to make.
    fn push(&mut self, made: Rank, at: usize);
    fn pop(&mut self) -> Option<(Rank, usize)>;
}

/// Some thousand entries and fewer.
#[derive(Default)]
pub(super) struct Heap(BinaryHeap<Reverse<(Rank, usize)>>);

impl Queue for Heap {
    fn push(&mut self, made: Rank, at: usize) {
        if made != NONE {
            self.0.push(Reverse((made, at)));
        }
    }

    fn pop(&mut self) -> Option<(Rank, usize)> {
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

/// Any number of entries, read in order: as good as all of a rank come before its first is taken.
#[derive(Default)]
pub(super) struct Buckets {
    ranks: BinaryHeap<Reverse<Rank>>,
    by_rank: FxHashMap<Rank, Bucket>,
}

#[derive(Default)]
struct Bucket {
    /// Positions, sorted once the first is taken.
    run: Vec<u32>,
    /// How many are taken.
    taken: usize,
    is_open: bool,
    /// Positions that came after that.
    late: BinaryHeap<Reverse<u32>>,
}

impl Queue for Buckets {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the caller keeps to 32 bits"
    )]
    fn push(&mut self, made: Rank, at: usize) {
        if made == NONE {
            return;
        }
        let bucket = self.by_rank.entry(made).or_insert_with(|| {
            self.ranks.push(Reverse(made));
            Bucket::default()
        });
        if bucket.is_open {
            bucket.late.push(Reverse(at as u32));
        } else {
            bucket.run.push(at as u32);
        }
    }

    fn pop(&mut self) -> Option<(Rank, usize)> {
        loop {
            let Reverse(rank) = *self.ranks.peek()?;
            if let Some(at) = self.by_rank.get_mut(&rank).and_then(Bucket::pop) {
                return Some((rank, at as usize));
            }
            self.by_rank.remove(&rank);
            self.ranks.pop();
        }
    }
}

impl Bucket {
    fn pop(&mut self) -> Option<u32> {
        if !self.is_open {
            self.is_open = true;
            self.sort();
        }
        let next = self.run.get(self.taken);
        match (next, self.late.peek()) {
            (Some(next), late) if late.is_none_or(|Reverse(late)| next < late) => {
                self.taken += 1;
                Some(*next)
            }
            _ => self.late.pop().map(|Reverse(at)| at),
        }
    }

    #[expect(
        clippy::stable_sort_primitive,
        reason = "it merges runs; there are a few"
    )]
    fn sort(&mut self) {
        self.run.sort();
    }
}
