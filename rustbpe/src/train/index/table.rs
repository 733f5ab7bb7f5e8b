//! Counts every pair in one pass over the words and lists the frequent ones in another.

use super::{Cell, reach};
use crate::train::pairs::Pairs;
use crate::word::{Id, Packing, Words};

/// A cell for each two ids, known or not.
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
    pub fn new(num_ids: usize, rank: usize) -> Self {
        Self {
            cells: vec![Cell::default(); num_ids * num_ids],
            num_ids,
            rank,
            packing: Packing::new(),
            at: None,
        }
    }

    pub fn run<I: Id>(
        &mut self,
        words: &mut Words<I>,
        pairs: &mut Pairs,
        fuel: &mut usize,
    ) -> bool {
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
        let end = reach(words, at, fuel);
        self.list(words, pairs, at, end)
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

    fn list<I: Id>(&mut self, words: &Words<I>, pairs: &mut Pairs, at: u32, end: usize) -> bool {
        let begin = at as usize;
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

    pub fn memory_bytes(&self) -> usize {
        size_of::<Cell>() * self.cells.capacity()
    }
}
