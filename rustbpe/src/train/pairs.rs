//! The pairs worth tracking: their counts, where they occur, and which is merged next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use rustc_hash::FxHashMap;

use crate::word::Pair;

/// A freed piece shorter than this is forgotten until the next index.
const MIN_FREE: usize = 64;

/// The pairs that occurred at least `threshold` times when they were born or indexed.
pub(crate) struct Pairs {
    numbers: FxHashMap<Pair, u32>,
    tracked: Vec<Tracked>,
    heap: BinaryHeap<Candidate>,
    /// Where the pairs occur: lists in ascending order, some of which are out of date.
    pub places: Vec<u32>,
    // Length and start of the pieces of `places` that no list needs.
    free: BinaryHeap<(usize, usize)>,
    threshold: u64,
}

/// What is known of a pair; its list may hold places where it no longer is.
#[derive(Clone, Copy)]
pub(crate) struct Tracked {
    pub count: u64,
    pub start: usize,
    pub len: usize,
}

/// Ordered by what is merged first: the highest count, then the smallest ids.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    count: u64,
    pair: Reverse<Pair>,
    number: u32,
}

impl Pairs {
    pub fn new() -> Self {
        Self {
            numbers: FxHashMap::default(),
            tracked: Vec::new(),
            heap: BinaryHeap::new(),
            places: Vec::new(),
            free: BinaryHeap::new(),
            threshold: u64::MAX,
        }
    }

    pub fn threshold(&self) -> u64 {
        self.threshold
    }

    /// Forgets every pair; those that occur `threshold` times are to be added.
    pub fn restart(&mut self, threshold: u64) {
        let places = std::mem::take(&mut self.places);
        *self = Self {
            places,
            threshold,
            ..Self::new()
        };
    }

    pub fn add(&mut self, pair: Pair, one: Tracked) {
        // A pair has a place, and places have 32 bits.
        let number = u32::try_from(self.tracked.len()).unwrap_or(u32::MAX);
        self.tracked.push(one);
        self.numbers.insert(pair, number);
        self.heap.push(Candidate {
            count: one.count,
            pair: Reverse(pair),
            number,
        });
    }

    /// Takes occurrences off a pair, if it is tracked.
    #[inline]
    pub fn subtract(&mut self, pair: Pair, count: u64) {
        if let Some(&number) = self.numbers.get(&pair) {
            self.tracked[number as usize].count -= count;
        }
    }

    /// Takes out the pair that is merged next.
    ///
    /// A count only falls: an id is produced in its own merge and never again, so every pair is
    /// complete when it is born. A candidate can be too high, never too low, and goes back with
    /// the true count. One that fell below the threshold waits for the next index: a pair that
    /// is not tracked may now occur more often.
    pub fn pop(&mut self) -> Option<(Pair, Tracked)> {
        loop {
            let mut top = self.heap.peek_mut()?;
            let one = self.tracked[top.number as usize];
            if one.count == top.count {
                let pair = top.pair.0;
                PeekMut::pop(top);
                self.numbers.remove(&pair);
                return Some((pair, one));
            }
            if one.count < self.threshold {
                PeekMut::pop(top);
            } else {
                top.count = one.count;
            }
        }
    }

    /// Finds `len` places for new lists: the front of the longest free piece, or more memory.
    pub fn allocate(&mut self, len: usize) -> usize {
        let fits = self.free.peek().is_some_and(|piece| piece.0 >= len);
        if let Some((free, start)) = fits.then(|| self.free.pop()).flatten() {
            self.release(start + len, free - len);
            return start;
        }
        let start = self.places.len();
        if self.places.capacity() - start < len {
            // Doubling would waste what the lists of a large corpus leave.
            self.places.reserve_exact(len.max(start / 8));
        }
        self.places.resize(start + len, 0);
        start
    }

    /// Makes `places` this long; what the lists held before is lost.
    pub fn resize_places(&mut self, len: usize) {
        if self.places.capacity() == 0 {
            // Memory that comes zeroed need not be written.
            self.places = vec![0; len];
            return;
        }
        self.places.truncate(len);
        if self.places.capacity() / 2 > len {
            self.places.shrink_to_fit();
        }
        self.places.reserve_exact(len - self.places.len());
        self.places.resize(len, 0);
    }

    /// Gives a piece of `places` back.
    pub fn release(&mut self, start: usize, len: usize) {
        if len >= MIN_FREE {
            self.free.push((len, start));
        }
    }

    pub fn memory_bytes(&self) -> usize {
        // The hash table has a control byte per bucket and is at most 7/8 full.
        size_of::<u32>() * self.places.capacity()
            + size_of::<Tracked>() * self.tracked.capacity()
            + size_of::<Candidate>() * self.heap.capacity()
            + size_of::<(usize, usize)>() * self.free.capacity()
            + (size_of::<(Pair, u32)>() + 1) * self.numbers.capacity() / 7 * 8
    }
}
