//! The words of a range of hashes, and all the ranges together.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::long::LongTable;
use super::short::ShortTable;

const BITS: u32 = 6;
const NUM_SHARDS: usize = 1 << BITS;

/// The words whose hashes have the same high bits.
#[derive(Default)]
pub(super) struct Shard {
    pub short: ShortTable,
    pub long: LongTable,
}

/// Returns one empty shard for every value of the high bits.
pub(super) fn all() -> Vec<Shard> {
    (0..NUM_SHARDS).map(|_| Shard::default()).collect()
}

/// What is left of a hash inside a shard.
pub(super) fn inner(hash: u64) -> u64 {
    hash << BITS
}

impl Shard {
    pub fn len(&self) -> usize {
        self.short.len() + self.long.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> + Clone {
        let long = self.long.iter().map(|(word, _, count)| (word, count));
        self.short.iter().chain(long)
    }

    pub fn memory_bytes(&self) -> usize {
        self.short.memory_bytes() + self.long.memory_bytes()
    }
}

/// The shards, lent to several threads.
pub(super) struct Shards<'a>(Vec<Mutex<&'a mut Shard>>);

impl<'a> Shards<'a> {
    pub fn new(shards: &'a mut [Shard]) -> Self {
        Self(shards.iter_mut().map(Mutex::new).collect())
    }

    /// Returns the only access to the shard that holds words of this hash.
    #[allow(clippy::cast_possible_truncation)]
    pub fn of<'s>(&'s self, hash: u64) -> MutexGuard<'s, &'a mut Shard> {
        let number = (hash >> (64 - BITS)) as usize;
        // A thread that panicked ends the whole batch; its shard is still a table.
        self.0[number]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_same(left: u64, right: u64) -> bool {
        (left ^ right) >> (64 - BITS) == 0
    }
}
