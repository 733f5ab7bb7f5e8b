//! Which two tokens make a third: a hash table of 64-bit slots.

/// The id of a token, which is its rank in the order of merges.
pub(crate) type Rank = u32;
/// The most tokens: three ids share the 64 bits of a slot. Two more numbers stand for no token.
pub(crate) const MAX_TOKENS: usize = (1 << ID_BITS) - 2;
/// No token. As a rank it loses against every token.
pub(super) const NONE: Rank = (1 << ID_BITS) - 1;
/// Something that makes nothing with any token.
pub(super) const BORDER: Rank = (1 << ID_BITS) - 2;

const ID_BITS: u32 = 21;
/// No pair looks like this: `NONE` is in none.
const EMPTY: u64 = u64::MAX;
/// Pairs in a bucket, on half a cache line.
const WAYS: usize = 4;
/// 2^64 divided by the golden ratio: neighbouring keys land far apart.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// What two tokens make, by the two.
pub(super) struct PairTable {
    /// Left id, right id, id of what they make. Only a full bucket goes on in the next.
    buckets: Vec<[u64; WAYS]>,
    shift: u32,
}

impl PairTable {
    /// Returns an empty table for at most `count` pairs.
    pub(super) fn with_room(count: usize) -> Self {
        // Few buckets are full, so that a lookup hardly ever goes on: it would be mispredicted.
        let num_buckets = count.next_power_of_two().max(2);
        Self {
            buckets: vec![[EMPTY; WAYS]; num_buckets],
            shift: u64::BITS - num_buckets.trailing_zeros(),
        }
    }

    pub(super) fn add(&mut self, left: Rank, right: Rank, made: Rank) {
        let key = key(left, right);
        let mut home = self.home(key);
        loop {
            if let Some(slot) = self.buckets[home].iter_mut().find(|slot| **slot == EMPTY) {
                *slot = key << ID_BITS | u64::from(made);
                return;
            }
            home = (home + 1) & (self.buckets.len() - 1);
        }
    }

    /// Returns what two tokens make, or `NONE`.
    #[inline]
    pub(super) fn get(&self, left: Rank, right: Rank) -> Rank {
        let key = key(left, right);
        let mut home = self.home(key);
        loop {
            let bucket = &self.buckets[home];
            let mut found = EMPTY;
            for slot in bucket {
                found = if slot >> ID_BITS == key { *slot } else { found };
            }
            if bucket[WAYS - 1] == EMPTY || found != EMPTY {
                return low_id(found);
            }
            home = (home + 1) & (self.buckets.len() - 1);
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<[u64; WAYS]>()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the shift leaves an index")]
    fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(SPREAD) >> self.shift) as usize
    }
}

#[inline]
fn key(left: Rank, right: Rank) -> u64 {
    u64::from(left) << ID_BITS | u64::from(right)
}

#[inline]
fn low_id(slot: u64) -> Rank {
    (slot & ((1 << ID_BITS) - 1)) as Rank
}
