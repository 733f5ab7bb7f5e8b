//! Tables of words of up to 15 bytes, the words being in the slots.

use super::hash::{Key, MAX_SHORT, place};
use super::shard::inner;

/// Words that are looked up together.
pub(super) const BATCH: usize = 64;

/// A word and its count; an empty slot is all zeros.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    // Bytes instead of an integer: a u128 would align the slot to 32 bytes.
    key: [u8; 16],
    count: u64,
}

const EMPTY: Slot = Slot {
    key: [0; 16],
    count: 0,
};

impl Slot {
    fn new(key: Key, count: u64) -> Self {
        Self {
            key: key.to_bytes(),
            count,
        }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.key[MAX_SHORT] == 0
    }

    #[inline]
    pub fn key(&self) -> Key {
        Key::from_bytes(self.key)
    }

    fn word(&self) -> &[u8] {
        &self.key[..usize::from(self.key[MAX_SHORT])]
    }
}

/// A table that never grows, made to stay in the cache of a core.
pub(super) struct FixedTable {
    slots: Box<[Slot; Self::NUM_SLOTS]>,
    len: usize,
}

impl FixedTable {
    const BITS: u32 = 16;
    const NUM_SLOTS: usize = 1 << Self::BITS;
    /// More words than this make the probes long.
    const MAX_LEN: usize = Self::NUM_SLOTS * 5 / 8;

    pub fn new() -> Self {
        // Through a vector, since a large array would be built on the stack first.
        let slots = vec![EMPTY; Self::NUM_SLOTS].into_boxed_slice();
        match slots.try_into() {
            Ok(slots) => Self { slots, len: 0 },
            Err(_) => unreachable!("a vector of this length is an array of it"),
        }
    }

    /// Counts one more occurrence of each key; returns whether the table is full, which is to be
    /// drained then.
    #[inline(never)]
    pub fn add_all(&mut self, keys: &[Key; BATCH]) -> bool {
        // Most words are where they belong. Counting those without a branch spares the processor
        // its wrong guesses about the others.
        let mut missed = [Key::EMPTY; BATCH];
        let mut num_missed = 0;
        for &key in keys {
            let slot = &mut self.slots[Self::place(key)];
            let is_hit = slot.key() == key;
            slot.count += u64::from(is_hit);
            missed[num_missed % BATCH] = key;
            num_missed += usize::from(!is_hit);
        }
        for &key in missed.iter().take(num_missed) {
            self.add(key);
        }
        self.len >= Self::MAX_LEN
    }

    /// Counts one more occurrence.
    pub fn add(&mut self, key: Key) {
        let mut at = Self::place(key);
        loop {
            let slot = &mut self.slots[at % Self::NUM_SLOTS];
            if slot.key() == key {
                slot.count += 1;
                return;
            }
            if slot.is_empty() {
                *slot = Slot::new(key, 1);
                self.len += 1;
                return;
            }
            at += 1;
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    fn place(key: Key) -> usize {
        (key.hash() >> (64 - Self::BITS)) as usize % Self::NUM_SLOTS
    }

    /// Yields every word, roughly by its hash, and leaves the table empty.
    pub fn drain(&mut self) -> impl Iterator<Item = Slot> {
        let is_used = std::mem::take(&mut self.len) > 0;
        let slots = if is_used {
            &mut self.slots[..]
        } else {
            &mut []
        };
        slots
            .iter_mut()
            .filter(|slot| !slot.is_empty())
            .map(|slot| std::mem::replace(slot, EMPTY))
    }

    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}

const MISS: usize = usize::MAX;

/// Where a word belongs in a growing table.
#[inline]
fn place_of(key: Key, num_slots: usize) -> usize {
    place(inner(key.hash()), num_slots)
}

/// A table that grows.
#[derive(Default)]
pub(super) struct ShortTable {
    slots: Vec<Slot>,
    len: usize,
}

impl ShortTable {
    /// Adds the counts of other slots.
    pub fn add_all(&mut self, others: &[Slot]) {
        // Growth by a quarter keeps the slots at least two thirds full.
        while (self.len + others.len()) * 6 > self.slots.len() * 5 {
            self.grow();
        }
        // All places are looked at before any is changed, so that the memory is asked for many of
        // them at a time; nearly all are right at the first look.
        let mut places = [0; BATCH];
        for others in others.chunks(BATCH) {
            for (place, other) in places.iter_mut().zip(others) {
                let at = place_of(other.key(), self.slots.len());
                *place = if self.slots[at].key == other.key {
                    at
                } else {
                    MISS
                };
            }
            for (place, other) in places.iter().zip(others) {
                if *place == MISS {
                    self.add(other);
                } else {
                    self.slots[*place].count += other.count;
                }
            }
        }
    }

    fn add(&mut self, other: &Slot) {
        let at = self.find(other.key());
        let slot = &mut self.slots[at];
        if slot.is_empty() {
            *slot = *other;
            self.len += 1;
        } else {
            slot.count += other.count;
        }
    }

    /// Returns where the word is or belongs.
    fn find(&self, key: Key) -> usize {
        let mut at = place_of(key, self.slots.len());
        loop {
            let slot = &self.slots[at];
            if slot.key() == key || slot.is_empty() {
                return at;
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    fn grow(&mut self) {
        let num_slots = self.slots.len() / 4 * 5 + 32;
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; num_slots]);
        for slot in old.into_iter().filter(|slot| !slot.is_empty()) {
            let at = self.find(slot.key());
            self.slots[at] = slot;
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> + Clone {
        let used = self.slots.iter().filter(|slot| !slot.is_empty());
        used.map(|slot| (slot.word(), slot.count))
    }

    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }
}
