//! What one thread needs to encode documents: its splitter and the words it has met.

use std::sync::atomic::{AtomicBool, Ordering};

use super::cache::{Key, LongWords, MAX_KEY_BYTES, NO_KEY, ShortWords};
use super::id::Id;
use crate::error::Error;
use crate::split::Splitter;
use crate::vocab::{Rank, Vocab};

/// Words between two looks into the cache: their cache lines are fetched meanwhile.
const BATCH: usize = 32;
/// Room for the ids of a word that is kept; a word of megabytes does not come every day.
const MAX_IDLE_RANKS: usize = 1 << 16;

pub(super) struct Worker<T: Id> {
    splitter: Splitter,
    short: ShortWords<T>,
    long: LongWords<T>,
    ranks: Vec<Rank>,
}

/// A word that waits for its ids.
#[derive(Clone, Copy, Default)]
struct Waiting {
    start: usize,
    end: usize,
    /// `NO_KEY` when the word is too long.
    key: Key,
    home: usize,
}

impl<T: Id> Worker<T> {
    pub(super) fn new(pattern: &str) -> Result<Self, Error> {
        Ok(Self {
            splitter: Splitter::new(pattern)?,
            short: ShortWords::new(),
            long: LongWords::new(),
            ranks: Vec::new(),
        })
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.short.memory_bytes() + self.long.memory_bytes()
    }

    /// Appends the ids of `text` to `out`, and calls `visit` with the end of every word.
    ///
    /// # Errors
    /// `Error::Split` when the pattern gives up, `Error::Stopped` when `stop` was raised.
    pub(super) fn encode(
        &mut self,
        vocab: &Vocab,
        text: &str,
        out: &mut Vec<T>,
        stop: &AtomicBool,
        mut visit: impl FnMut(usize),
    ) -> Result<(), Error> {
        let Self {
            splitter,
            short,
            long,
            ranks,
        } = self;
        let mut words = Words {
            vocab,
            short,
            long,
            ranks,
            out,
            stop,
            is_stopped: false,
        };
        let mut waiting = [Waiting::default(); BATCH];
        let mut num_waiting = 0;
        let bytes = text.as_bytes();
        splitter.for_each_span(text, |start, end| {
            visit(end);
            let key = key(bytes, start, end);
            let home = words.short.home(key);
            words.short.fetch(home);
            waiting[num_waiting] = Waiting {
                start,
                end,
                key,
                home,
            };
            num_waiting += 1;
            if num_waiting == BATCH {
                words.append(bytes, &waiting);
                num_waiting = 0;
            }
            !words.is_stopped
        })?;
        words.append(bytes, &waiting[..num_waiting]);
        if words.is_stopped {
            Err(Error::Stopped)
        } else {
            Ok(())
        }
    }
}

/// A worker at work, without its splitter.
struct Words<'w, T: Id> {
    vocab: &'w Vocab,
    short: &'w mut ShortWords<T>,
    long: &'w mut LongWords<T>,
    ranks: &'w mut Vec<Rank>,
    out: &'w mut Vec<T>,
    stop: &'w AtomicBool,
    is_stopped: bool,
}

impl<T: Id> Words<'_, T> {
    fn append(&mut self, text: &[u8], waiting: &[Waiting]) {
        self.is_stopped |= self.stop.load(Ordering::Relaxed);
        if self.is_stopped {
            return;
        }
        for one in waiting {
            match self.short.get(one.home, one.key) {
                Some(lanes) => {
                    if append_lanes(self.out, lanes) == 0 {
                        self.append_long(text, one);
                    }
                }
                None if one.key == NO_KEY => self.append_long(text, one),
                None => self.append_new(text, one),
            }
        }
        self.short.grow();
    }

    /// Appends the ids of a word that no slot can hold.
    fn append_long(&mut self, text: &[u8], one: &Waiting) {
        match self.long.get(&text[one.start..one.end]) {
            Some(ids) => self.out.extend_from_slice(ids),
            None => self.append_new(text, one),
        }
    }

    /// Appends the ids of a word that was not met before, or was forgotten.
    #[cold]
    #[inline(never)]
    fn append_new(&mut self, text: &[u8], one: &Waiting) {
        let is_short = one.key != NO_KEY;
        if is_short && let Some(lanes) = self.short.get_other(one.key) {
            if append_lanes(self.out, lanes) == 0 {
                self.append_long(text, one);
            }
            return;
        }
        let word = &text[one.start..one.end];
        self.ranks.clear();
        if self.vocab.encode(word, self.ranks, self.stop).is_err() {
            self.is_stopped = true;
            return;
        }
        let start = self.out.len();
        let ids = self.ranks.iter().map(|rank| T::from_index(*rank as usize));
        self.out.extend(ids);
        self.ranks.shrink_to(MAX_IDLE_RANKS);
        let ids = &self.out[start..];
        let mut lanes = T::Lanes::default();
        let last = lanes.as_ref().len() - 1;
        if is_short && ids.len() <= last {
            lanes.as_mut()[..ids.len()].copy_from_slice(ids);
            lanes.as_mut()[last] = T::from_index(ids.len());
        } else {
            self.long.add(word, ids);
        }
        // With no lane taken, a short word is looked up among the long ones.
        if is_short {
            self.short.add(one.key, lanes);
        }
    }
}

/// Appends the ids in the lanes, and returns how many there are.
#[inline]
fn append_lanes<T: Id>(out: &mut Vec<T>, lanes: &T::Lanes) -> usize {
    let lanes = lanes.as_ref();
    let count = lanes[lanes.len() - 1].index();
    let len = out.len() + count;
    // All at once: a copy of a known size is one move.
    out.extend_from_slice(lanes);
    out.truncate(len);
    count
}

/// Returns the key of a word of `text`, or `NO_KEY` when it is too long.
#[inline]
fn key(text: &[u8], start: usize, end: usize) -> Key {
    let len = end - start;
    if len > MAX_KEY_BYTES {
        return NO_KEY;
    }
    // Sixteen bytes are read at once; those behind the word are masked.
    let rest = text.get(start..).unwrap_or_default();
    let bytes = rest.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; 16];
        bytes[..rest.len()].copy_from_slice(rest);
        bytes
    });
    u128::from_le_bytes(bytes) & MASKS[len] | (len as u128) << 120
}

/// The lowest bytes, by how many. A table takes half the steps of two shifts of 128 bits.
const MASKS: [u128; MAX_KEY_BYTES + 1] = {
    let mut masks = [0; MAX_KEY_BYTES + 1];
    let mut len = 1;
    while len <= MAX_KEY_BYTES {
        masks[len] = u128::MAX >> (128 - 8 * len);
        len += 1;
    }
    masks
};
