//! Finding the pairs worth tracking: at the start, and whenever those that were tracked run dry.
//!
//! Most pairs are never merged, so only those that occur `threshold` times are tracked. When none
//! of them is left, every other pair is below the threshold too: it is lowered, and the words are
//! indexed again, which loses nothing because counts only fall.

use super::pairs::{Pairs, Tracked};
use crate::word::{BORDER, Class, Id, Packing, Words};

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
            Self::Table(table) => size_of::<Cell>() * table.cells.capacity(),
            Self::Buckets(buckets) => {
                size_of::<usize>() * buckets.ends.capacity()
                    + size_of::<Cell>() * buckets.cells.capacity()
                    + size_of::<(u32, u32)>() * buckets.bucket.capacity()
            }
        }
    }
}

/// What is known of a pair before it is listed.
#[derive(Clone, Copy, Default)]
struct Cell {
    count: u64,
    num_places: u32,
    // Where its next place goes; 0 for pairs that are not listed.
    next: u32,
}

/// Counts every pair in one pass over the words and lists the frequent ones in another.
pub(crate) struct Table {
    cells: Vec<Cell>,
    num_ids: usize,
    // Tracks the pairs up to this rank by count.
    rank: usize,
    packing: Packing,
    // The slot to list next; absent while pairs are counted.
    at: Option<u32>,
}

impl Table {
    fn new(num_ids: usize, rank: usize) -> Self {
        Self {
            cells: vec![Cell::default(); num_ids * num_ids],
            num_ids,
            rank,
            packing: Packing::new(),
            at: None,
        }
    }

    fn run<I: Id>(&mut self, words: &mut Words<I>, pairs: &mut Pairs, fuel: &mut usize) -> bool {
        let (cells, num_ids) = (&mut self.cells[..], self.num_ids);
        let at = if let Some(at) = self.at {
            at
        } else {
            let is_packed = words.pack(&mut self.packing, fuel, |left, right, count| {
                let cell = &mut cells[left.index() * num_ids + right.index()];
                cell.count += count;
                cell.num_places += 1;
            });
            if !is_packed {
                return false;
            }
            self.choose(pairs);
            0
        };
        self.list(words, pairs, at, fuel)
    }
}

impl Table {
    /// Picks the threshold and gives every pair that reaches it a list.
    fn choose(&mut self, pairs: &mut Pairs) {
        let counts = self.cells.iter().map(|cell| cell.count);
        let mut counts: Vec<u64> = counts.filter(|&count| count > 0).collect();
        let threshold = if self.rank < counts.len() {
            *counts.select_nth_unstable_by(self.rank, |a, b| b.cmp(a)).1
        } else {
            1
        };
        pairs.restart(threshold.min(pairs.threshold()));
        // The place before the first list takes what nobody wants.
        let mut len = 1_u32;
        for (left, row) in (0_u32..).zip(self.cells.chunks_exact_mut(self.num_ids)) {
            for (right, cell) in (0_u32..).zip(row) {
                if cell.count >= pairs.threshold() {
                    pairs.add((left, right), cell.list(len as usize));
                    cell.next = len;
                    len += cell.num_places;
                }
            }
        }
        pairs.resize_places(len as usize);
    }

    fn list<I: Id>(
        &mut self,
        words: &Words<I>,
        pairs: &mut Pairs,
        at: u32,
        fuel: &mut usize,
    ) -> bool {
        let begin = at as usize;
        let end = (words.slots.len() - 1).min(begin.saturating_add(*fuel));
        *fuel = fuel.saturating_sub(end - begin);
        let (cells, places) = (&mut self.cells[..], &mut pairs.places[..]);
        let mut left = words.slots[begin].index();
        let mut at = at;
        for right in &words.slots[begin + 1..=end] {
            let right = right.index();
            // Pairs with a border have cells too, which were never counted.
            let cell = &mut cells[left * self.num_ids + right];
            places[cell.next as usize] = at;
            cell.next += u32::from(cell.next > 0);
            left = right;
            at += 1;
        }
        self.at = Some(at);
        end + 1 == words.slots.len()
    }
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

/// Sorts the places by left id, then lists the frequent pairs of one left id after the other:
/// slower than a table, in memory that does not grow with the square of the ids.
pub(crate) struct Buckets {
    // By left id: the places it needs, then the end of its bucket.
    ends: Vec<usize>,
    cells: Vec<Cell>,
    bucket: Vec<(u32, u32)>,
    packing: Packing,
    step: Step,
    // Where the lists written so far end.
    len: usize,
}

enum Step {
    Count,
    Sort { at: u32 },
    List { left: u32, start: usize },
}

impl Buckets {
    fn new(num_ids: usize) -> Self {
        Self {
            ends: vec![0; num_ids],
            cells: vec![Cell::default(); num_ids],
            bucket: Vec::new(),
            packing: Packing::new(),
            step: Step::Count,
            len: 0,
        }
    }

    fn run<I: Id>(&mut self, words: &mut Words<I>, pairs: &mut Pairs, fuel: &mut usize) -> bool {
        if matches!(self.step, Step::Count) {
            let ends = &mut self.ends[..];
            if !words.pack(&mut self.packing, fuel, |left, _, _| {
                ends[left.index()] += 1;
            }) {
                return false;
            }
            let mut start = 0;
            for end in ends {
                start += std::mem::replace(end, start);
            }
            pairs.resize_places(start);
            self.step = Step::Sort { at: 0 };
        }
        if let Step::Sort { at } = self.step {
            if !self.sort(words, pairs, at, fuel) {
                return false;
            }
            self.step = Step::List { left: 0, start: 0 };
        }
        while let Step::List { left, start } = self.step {
            let Some(&end) = self.ends.get(left as usize) else {
                pairs.resize_places(self.len);
                return true;
            };
            if *fuel == 0 {
                return false;
            }
            *fuel = fuel.saturating_sub(end - start + 1);
            self.list(words, pairs, left, start, end);
            self.step = Step::List {
                left: left + 1,
                start: end,
            };
        }
        false
    }

    fn sort<I: Id>(
        &mut self,
        words: &Words<I>,
        pairs: &mut Pairs,
        at: u32,
        fuel: &mut usize,
    ) -> bool {
        let begin = at as usize;
        let end = (words.slots.len() - 1).min(begin.saturating_add(*fuel));
        *fuel = fuel.saturating_sub(end - begin);
        let mut at = at;
        for two in words.slots[begin..=end].windows(2) {
            if two[0].get() != BORDER && two[1].get() != BORDER {
                let next = &mut self.ends[two[0].index()];
                pairs.places[*next] = at;
                *next += 1;
            }
            at += 1;
        }
        self.step = Step::Sort { at };
        end + 1 == words.slots.len()
    }

    /// Lists the pairs of one left id; the lists move to the front of `places`.
    fn list<I: Id>(
        &mut self,
        words: &Words<I>,
        pairs: &mut Pairs,
        left: u32,
        start: usize,
        end: usize,
    ) {
        self.bucket.clear();
        let mut class = Class { end: 0, count: 0 };
        for &place in &pairs.places[start..end] {
            let at = place as usize;
            if at >= class.end {
                class = words.class_at(at);
            }
            let right = words.slots[at + 1].get();
            self.bucket.push((place, right));
            let cell = &mut self.cells[right as usize];
            cell.count += class.count;
            cell.num_places += 1;
        }
        for &(place, right) in &self.bucket {
            let cell = &mut self.cells[right as usize];
            if cell.count < pairs.threshold() {
                continue;
            }
            if cell.next == 0 {
                pairs.add((left, right), cell.list(self.len));
                // One too high, because 0 means that there is no list yet.
                cell.next = u32::try_from(self.len + 1).unwrap_or(u32::MAX);
                self.len += cell.num_places as usize;
            }
            pairs.places[cell.next as usize - 1] = place;
            cell.next += 1;
        }
        for &(_, right) in &self.bucket {
            self.cells[right as usize] = Cell::default();
        }
    }
}
