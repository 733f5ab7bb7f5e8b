//! Words that were met before, with their ids.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::id::Id;

/// Bytes of a word that fit a key beside its length.
pub(super) const MAX_KEY_BYTES: usize = 15;
const MIN_SETS: usize = 1 << 10;
/// 16 MiB, at most, for every thread.
const MAX_SETS: usize = 1 << 18;
/// What the long words take, at most.
const MAX_LONG_BYTES: usize = 16 << 20;
/// Longer words hardly ever come again.
const MAX_LONG_WORD: usize = 1 << 10;
/// Two odd numbers without a pattern, to multiply with; and two more.
const SPREAD: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xD6E8_FEB8_6659_FD93];
const OTHER_SPREAD: [u64; 2] = [0xA076_1D64_78BD_642F, 0xE703_7ED1_A0B4_28DB];

/// The bytes of a short word and, in the highest byte, their number.
pub(super) type Key = u128;
/// The key of a word that is too long for one. It is never found.
pub(super) const NO_KEY: Key = Key::MAX;
/// What an empty slot has: no word is empty.
const EMPTY_KEY: Key = 0;

/// Two ways, and one cache line.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Set<T: Id>([Slot<T>; 2]);

#[derive(Clone, Copy, Default)]
struct Slot<T: Id> {
    key: Key,
    lanes: T::Lanes,
}

/// Words of at most `MAX_KEY_BYTES`, each in one of two sets.
///
/// The table grows to a bound; then the older of two words gives way.
pub(super) struct ShortWords<T: Id> {
    sets: Vec<Set<T>>,
    shift: u32,
    num_added: usize,
}

impl<T: Id> ShortWords<T> {
    pub(super) fn new() -> Self {
        Self::with_sets(MIN_SETS)
    }

    fn with_sets(num_sets: usize) -> Self {
        Self {
            sets: vec![Set::default(); num_sets],
            shift: u64::BITS - num_sets.trailing_zeros(),
            num_added: 0,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.sets.capacity() * size_of::<Set<T>>()
    }

    /// Returns the first set in which to look for a word, the same until the table grows.
    #[inline]
    pub(super) fn home(&self, key: Key) -> usize {
        self.set(mix(key, SPREAD))
    }

    /// Fetches a set into the processor's cache, at a quarter less time for known text: at random
    /// places of a table of megabytes, lookups would mostly wait.
    #[inline]
    #[allow(unsafe_code)]
    pub(super) fn fetch(&self, home: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let set = self.sets.as_ptr().wrapping_add(home);
            // SAFETY: a prefetch reads nothing that the program sees; any address will do.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(set.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = home;
    }

    /// Returns the lanes of a word that is in its first set.
    #[inline]
    pub(super) fn get(&self, home: usize, key: Key) -> Option<&T::Lanes> {
        let Set([first, second]) = self.sets.get(home)?;
        if first.key == key {
            return Some(&first.lanes);
        }
        (second.key == key).then_some(&second.lanes)
    }

    /// Returns the lanes of a word that found its first set full.
    pub(super) fn get_other(&self, key: Key) -> Option<&T::Lanes> {
        let Set(home) = &self.sets[self.home(key)];
        if home[1].key == EMPTY_KEY {
            return None;
        }
        self.get(self.other(key), key)
    }

    pub(super) fn add(&mut self, key: Key, lanes: T::Lanes) {
        let new = Slot { key, lanes };
        let (home, other) = (self.home(key), self.other(key));
        self.num_added += 1;
        for set in [home, other] {
            let Set(slots) = &mut self.sets[set];
            if let Some(slot) = slots.iter_mut().find(|slot| slot.key == EMPTY_KEY) {
                *slot = new;
                return;
            }
        }
        let Set(slots) = &mut self.sets[home];
        slots.swap(0, 1);
        slots[0] = new;
    }

    /// Doubles a table that has seen more words than it has sets.
    pub(super) fn grow(&mut self) {
        if self.num_added < self.sets.len() || self.sets.len() >= MAX_SETS {
            return;
        }
        let mut wider = Self::with_sets(self.sets.len() * 2);
        let slots = self.sets.iter().flat_map(|Set(slots)| slots);
        for slot in slots.filter(|slot| slot.key != EMPTY_KEY) {
            wider.add(slot.key, slot.lanes);
        }
        *self = wider;
    }

    fn other(&self, key: Key) -> usize {
        self.set(mix(key, OTHER_SPREAD))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the shift leaves an index")]
    fn set(&self, hash: u64) -> usize {
        (hash >> self.shift) as usize
    }
}

/// Multiplies the halves and folds the product, so that every bit of the key has its part.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "halves are asked for")]
fn mix(key: Key, [low, high]: [u64; 2]) -> u64 {
    let product = u128::from(key as u64 ^ low) * u128::from((key >> 64) as u64 ^ high);
    product as u64 ^ (product >> 64) as u64
}

/// Words that are longer or have more ids than a slot holds. Forgets all of them when full.
pub(super) struct LongWords<T: Id> {
    ids_by_word: FxHashMap<Box<[u8]>, Range<usize>>,
    ids: Vec<T>,
    num_bytes: usize,
}

impl<T: Id> LongWords<T> {
    pub(super) fn new() -> Self {
        Self {
            ids_by_word: FxHashMap::default(),
            ids: Vec::new(),
            num_bytes: 0,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let entry = size_of::<(Box<[u8]>, Range<usize>)>();
        self.ids_by_word.capacity() * entry + self.ids.capacity() * size_of::<T>() + self.num_bytes
    }

    pub(super) fn get(&self, word: &[u8]) -> Option<&[T]> {
        let range = self.ids_by_word.get(word)?;
        self.ids.get(range.clone())
    }

    pub(super) fn add(&mut self, word: &[u8], ids: &[T]) {
        if word.len() > MAX_LONG_WORD {
            return;
        }
        if self.memory_bytes() > MAX_LONG_BYTES {
            *self = Self::new();
        }
        let start = self.ids.len();
        self.ids.extend_from_slice(ids);
        self.ids_by_word.insert(word.into(), start..self.ids.len());
        self.num_bytes += word.len();
    }
}
