//! Sorts the places by left id, then lists the frequent pairs of one left id after the other:
//! slower than a table, in memory that does not grow with the square of the ids.

use super::{Cell, reach};
use crate::train::pairs::Pairs;
use crate::word::{BORDER, Class, Id, Packing, Words};

/// One bucket for each left id.
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
    pub fn new(num_ids: usize) -> Self {
        Self {
            ends: vec![0; num_ids],
            cells: vec![Cell::default(); num_ids],
            bucket: Vec::new(),
            packing: Packing::new(),
            step: Step::Count,
            len: 0,
        }
    }

    pub fn run<I: Id>(
        &mut self,
        words: &mut Words<I>,
        pairs: &mut Pairs,
        fuel: &mut usize,
    ) -> bool {
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
            let end = reach(words, at, fuel);
            if !self.sort(words, pairs, at, end) {
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

    fn sort<I: Id>(&mut self, words: &Words<I>, pairs: &mut Pairs, at: u32, end: usize) -> bool {
        let begin = at as usize;
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

    pub fn memory_bytes(&self) -> usize {
        size_of::<usize>() * self.ends.capacity()
            + size_of::<Cell>() * self.cells.capacity()
            + size_of::<(u32, u32)>() * self.bucket.capacity()
    }
}
