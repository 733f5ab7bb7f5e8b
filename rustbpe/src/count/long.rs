//! A table of words of 16 bytes and more, the words being in one arena.

use super::hash::place;

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u64,
    start: usize,
    /// Zero in an empty slot.
    len: usize,
    count: u64,
}

/// A table that grows.
#[derive(Default)]
pub(super) struct LongTable {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    len: usize,
}

impl LongTable {
    /// Counts `count` more occurrences; of the hash, all bits should differ between words.
    pub fn add(&mut self, word: &[u8], hash: u64, count: u64) {
        if self.len * 6 >= self.slots.len() * 5 {
            self.grow();
        }
        let at = self.find(hash, |slot| {
            slot.hash == hash && self.word(slot) == Some(word)
        });
        let slot = &mut self.slots[at];
        if slot.len == 0 {
            *slot = Slot {
                hash,
                start: self.bytes.len(),
                len: word.len(),
                count: 0,
            };
            self.len += 1;
            if self.bytes.capacity() - self.bytes.len() < word.len() {
                // Doubling, as vectors do by themselves, would waste more.
                self.bytes.reserve_exact(word.len() + self.bytes.len() / 4);
            }
            self.bytes.extend_from_slice(word);
        }
        slot.count += count;
    }

    /// Returns where the first slot is that is empty or `is_it`.
    fn find(&self, hash: u64, is_it: impl Fn(&Slot) -> bool) -> usize {
        let mut at = place(hash, self.slots.len());
        loop {
            let slot = &self.slots[at];
            if slot.len == 0 || is_it(slot) {
                return at;
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    fn grow(&mut self) {
        let num_slots = self.slots.len() / 4 * 5 + 8;
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); num_slots]);
        for slot in old.into_iter().filter(|slot| slot.len > 0) {
            let at = self.find(slot.hash, |_| false);
            self.slots[at] = slot;
        }
    }

    fn word(&self, slot: &Slot) -> Option<&[u8]> {
        self.bytes.get(slot.start..slot.start + slot.len)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of all the words.
    pub fn num_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Yields every word with its hash and its count, roughly by hash.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64, u64)> + Clone {
        let words = self.slots.iter().filter(|slot| slot.len > 0);
        words.filter_map(|slot| Some((self.word(slot)?, slot.hash, slot.count)))
    }

    /// Forgets the words, keeping the memory.
    pub fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.bytes.clear();
        self.len = 0;
    }

    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.bytes.capacity()
    }
}
