//! One merge: the pair replaced wherever it occurs, and the counts around it corrected.
//!
//! What changes around the occurrences is added up per neighbour in plain arrays, so a pair is
//! looked up once per distinct neighbour and not once per occurrence.

use super::pairs::{Pairs, Tracked};
use crate::word::{BORDER, Class, Id, Pair, Words};

/// Occurrences checked together. Nothing in the check waits for another place, so that the
/// processor fetches the slots of many at a time.
const BATCH: usize = 128;

/// The merge at hand, and arrays that all merges share.
pub(crate) struct Merge<I> {
    step: Step,
    pair: Pair,
    id: u32,
    list: Tracked,
    // Of the list, what has been read, and what of it was found and stands at its start.
    num_read: usize,
    num_found: usize,
    num_placed: usize,
    born: usize,
    // What stands before and after each occurrence found.
    around: Vec<(I, I)>,
    before: Neighbours<I>,
    after: Neighbours<I>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Visit,
    Place,
    Done,
}

/// By id: what stands on one side of the occurrences.
struct Neighbours<I> {
    all: Vec<Neighbour>,
    touched: Vec<I>,
    num_touched: usize,
}

#[derive(Clone, Copy, Default)]
struct Neighbour {
    count: u64,
    num_places: u32,
    // Where in the new lists its next place goes; 0 when nobody wants it.
    next: u32,
}

impl<I: Id> Neighbours<I> {
    fn new(num_ids: usize) -> Self {
        Self {
            all: vec![Neighbour::default(); num_ids],
            touched: vec![I::default(); num_ids + 1],
            num_touched: 0,
        }
    }

    fn push_id(&mut self) {
        self.all.push(Neighbour::default());
        self.touched.push(I::default());
    }

    #[inline]
    fn add(&mut self, id: I, count: u64) {
        let one = &mut self.all[id.index()];
        // Written always and kept the first time: cheaper than a branch that is hard to predict.
        self.touched[self.num_touched] = id;
        self.num_touched += usize::from(one.num_places == 0);
        one.num_places += 1;
        one.count += count;
    }

    #[inline]
    fn place(&mut self, id: I, lists: &mut [u32], place: u32) {
        let one = &mut self.all[id.index()];
        lists[one.next as usize] = place;
        one.next += u32::from(one.next > 0);
    }

    fn clear(&mut self) {
        for id in &self.touched[..self.num_touched] {
            self.all[id.index()] = Neighbour::default();
        }
        self.num_touched = 0;
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Neighbour>() * self.all.capacity() + size_of::<I>() * self.touched.capacity()
    }
}

impl<I: Id> Merge<I> {
    /// Prepares for words of `num_ids` ids.
    pub fn new(num_ids: usize) -> Self {
        Self {
            step: Step::Done,
            pair: (BORDER, BORDER),
            id: BORDER,
            list: Tracked {
                count: 0,
                start: 0,
                len: 0,
            },
            num_read: 0,
            num_found: 0,
            num_placed: 0,
            born: 0,
            around: Vec::new(),
            before: Neighbours::new(num_ids),
            after: Neighbours::new(num_ids),
        }
    }

    /// Begins to merge a pair that `Pairs::pop` returned.
    pub fn start(&mut self, words: &mut Words<I>, pair: Pair, list: Tracked) {
        // `Trainer::new` checked that every id fits.
        self.id = u32::try_from(words.spans.len()).unwrap_or(u32::MAX);
        words
            .spans
            .push(words.spans[pair.0 as usize] + words.spans[pair.1 as usize]);
        self.before.push_id();
        self.after.push_id();
        (self.pair, self.list, self.step) = (pair, list, Step::Visit);
        (self.num_read, self.num_found, self.num_placed) = (0, 0, 0);
    }

    /// Goes on with the merge until `fuel` places have been looked at; returns whether it is done.
    pub fn run(&mut self, words: &mut Words<I>, pairs: &mut Pairs, fuel: &mut usize) -> bool {
        if self.step == Step::Visit {
            self.visit(words, pairs, fuel);
            if self.num_read < self.list.len {
                return false;
            }
            let is_place_needed = self.settle(pairs);
            self.step = if is_place_needed {
                Step::Place
            } else {
                Step::Done
            };
        }
        if self.step == Step::Place {
            self.place(words, pairs, fuel);
            if self.num_placed < self.num_found {
                return false;
            }
            self.step = Step::Done;
        }
        self.before.clear();
        self.after.clear();
        self.around.clear();
        // Only one merge in thousands needs this much.
        self.around.shrink_to(1 << 16);
        pairs.release(self.list.start, self.list.len);
        true
    }

    /// Replaces the pair and adds up what stands around it.
    fn visit(&mut self, words: &mut Words<I>, pairs: &mut Pairs, fuel: &mut usize) {
        let list = &mut pairs.places[self.list.start..][..self.list.len];
        let (left, right) = (I::new(self.pair.0), I::new(self.pair.1));
        let to_right = words.spans[left.index()] as usize;
        let span = words.spans[self.id as usize] as usize;
        let id = I::new(self.id);
        let mut class = Class { end: 0, count: 0 };
        while self.num_read < list.len() && *fuel > 0 {
            let batch = &list[self.num_read..list.len().min(self.num_read + BATCH)];
            self.num_read += batch.len();
            *fuel = fuel.saturating_sub(batch.len());
            let mut found = [0; BATCH];
            let mut num_found = 0;
            for &place in batch {
                let at = place as usize;
                found[num_found] = place;
                // Both are read in any case: a branch here would be hard to predict.
                num_found += usize::from(words.slots[at] == left)
                    & usize::from(words.slots[at + to_right] == right);
            }
            for &place in &found[..num_found] {
                let at = place as usize;
                // In a run of one token every other place goes with the one before it.
                if words.slots[at] != left {
                    continue;
                }
                if at >= class.end {
                    class = words.class_at(at);
                }
                let (before, after) = (words.slots[at - 1], words.slots[at + span]);
                words.slots[at] = id;
                words.slots[at + to_right] = id;
                words.slots[at + span - 1] = id;
                list[self.num_found] = place;
                self.num_found += 1;
                self.around.push((before, after));
                self.before.add(before, class.count);
                self.after.add(after, class.count);
            }
        }
    }

    /// Corrects the counts of the old neighbours' pairs and adds the new pairs that are frequent.
    ///
    /// In "abab" the second "ab" finds the first one merged before it: it takes back the pair of
    /// the new id and "a" that the first one left. No occurrence finds a merged one after it.
    fn settle(&mut self, pairs: &mut Pairs) -> bool {
        let (left, right) = self.pair;
        let threshold = pairs.threshold();
        let merged_before = self.before.all[self.id as usize].count;
        let mut len = 1_u32;
        let mut born = Vec::new();
        let mut want = |pair: Pair, count: u64, one: &mut Neighbour| {
            if count >= threshold {
                born.push((pair, count, len, one.num_places));
                one.next = len;
                len += one.num_places;
            }
        };
        for index in 0..self.before.num_touched {
            let other = self.before.touched[index].get();
            if other != BORDER {
                let one = &mut self.before.all[other as usize];
                pairs.subtract((other, left), one.count);
                want((other, self.id), one.count, one);
            }
        }
        for index in 0..self.after.num_touched {
            let other = self.after.touched[index].get();
            if other != BORDER {
                let one = &mut self.after.all[other as usize];
                pairs.subtract((right, other), one.count);
                let taken_back = if other == left { merged_before } else { 0 };
                want((self.id, other), one.count - taken_back, one);
            }
        }
        if born.is_empty() {
            return false;
        }
        self.born = pairs.allocate(len as usize);
        for (pair, count, start, len) in born {
            let (start, len) = (self.born + start as usize, len as usize);
            pairs.add(pair, Tracked { count, start, len });
        }
        true
    }

    /// Lists the places of the new pairs.
    fn place(&mut self, words: &Words<I>, pairs: &mut Pairs, fuel: &mut usize) {
        let end = self.num_found.min(self.num_placed.saturating_add(*fuel));
        *fuel = fuel.saturating_sub(end - self.num_placed);
        let (old, new) = split(
            &mut pairs.places,
            self.list.start,
            self.num_found,
            self.born,
        );
        let range = self.num_placed..end;
        for (&place, &(before, after)) in old[range.clone()].iter().zip(&self.around[range]) {
            self.before
                .place(before, new, place - words.spans[before.index()]);
            self.after.place(after, new, place);
        }
        self.num_placed = end;
    }

    pub fn memory_bytes(&self) -> usize {
        self.before.memory_bytes()
            + self.after.memory_bytes()
            + size_of::<(I, I)>() * self.around.capacity()
    }
}

/// Returns the list that is read and the new lists, whichever comes first.
fn split(places: &mut [u32], old: usize, len: usize, new: usize) -> (&[u32], &mut [u32]) {
    if old < new {
        let (first, second) = places.split_at_mut(new);
        (&first[old..][..len], second)
    } else {
        let (first, second) = places.split_at_mut(old);
        (&second[..len], &mut first[new..])
    }
}
