//! What one thread has counted and not yet told the others.

use super::hash::{Key, hash_long};
use super::long::LongTable;
use super::shard::{Shards, inner};
use super::short::{BATCH, FixedTable};

/// Long words in a front before they are flushed, together with the short ones half of a
/// megabyte: a core's own cache has one or two.
const MAX_LONG_WORDS: usize = 4096;
const MAX_LONG_BYTES: usize = 128 * 1024;
/// Words from this length on go straight to the shards, as they are seldom seen again.
const MIN_HUGE: usize = 4096;

/// Words counted by one thread.
pub(super) struct Front {
    short: FixedTable,
    /// Short words that are not in the table yet.
    pending: [Key; BATCH],
    num_pending: usize,
    long: LongTable,
}

impl Front {
    pub fn new() -> Self {
        Self {
            short: FixedTable::new(),
            pending: [Key::EMPTY; BATCH],
            num_pending: 0,
            long: LongTable::default(),
        }
    }

    /// Counts one more occurrence of `text[start..end]`.
    #[inline]
    pub fn add(&mut self, text: &[u8], start: usize, end: usize, shards: &Shards<'_>) {
        match Key::new(text, start, end) {
            Some(key) => {
                self.pending[self.num_pending % BATCH] = key;
                self.num_pending += 1;
                if self.num_pending == BATCH {
                    self.num_pending = 0;
                    if self.short.add_all(&self.pending) {
                        self.flush_short(shards);
                    }
                }
            }
            None => self.add_long(&text[start..end], shards),
        }
    }

    #[inline(never)]
    fn add_long(&mut self, word: &[u8], shards: &Shards<'_>) {
        let hash = hash_long(word);
        if word.len() >= MIN_HUGE {
            shards.of(hash).long.add(word, inner(hash), 1);
            return;
        }
        self.long.add(word, hash, 1);
        if self.long.len() >= MAX_LONG_WORDS || self.long.num_bytes() >= MAX_LONG_BYTES {
            self.flush_long(shards);
        }
    }

    /// Moves everything to the shards.
    pub fn flush(&mut self, shards: &Shards<'_>) {
        for key in &self.pending[..self.num_pending] {
            self.short.add(*key);
        }
        self.num_pending = 0;
        self.flush_short(shards);
        self.flush_long(shards);
    }

    // The words come by hash, as the slots of the shards do: both tables are read from one end to
    // the other.
    #[cold]
    #[inline(never)]
    fn flush_short(&mut self, shards: &Shards<'_>) {
        let mut slots = self.short.drain().peekable();
        let mut group = Vec::new();
        while let Some(first) = slots.next() {
            let hash = first.key().hash();
            group.push(first);
            while let Some(slot) = slots.next_if(|slot| Shards::is_same(slot.key().hash(), hash)) {
                group.push(slot);
            }
            shards.of(hash).short.add_all(&group);
            group.clear();
        }
    }

    #[cold]
    #[inline(never)]
    fn flush_long(&mut self, shards: &Shards<'_>) {
        let mut words = self.long.iter().peekable();
        while let Some(&(_, first_hash, _)) = words.peek() {
            let mut shard = shards.of(first_hash);
            while let Some((word, hash, count)) =
                words.next_if(|word| Shards::is_same(word.1, first_hash))
            {
                shard.long.add(word, inner(hash), count);
            }
        }
        drop(words);
        self.long.clear();
    }

    pub fn memory_bytes(&self) -> usize {
        self.short.memory_bytes() + self.long.memory_bytes()
    }
}
