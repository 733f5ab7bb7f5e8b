//! Where each word goes in the arena, decided before the first is copied.

use rustc_hash::FxHashMap;

use super::Class;
use crate::error::Error;

/// Counts and lengths below this are looked up in an array.
const NUM_SMALL: usize = 64;

/// Orders words by count, and by length among equals: loops over words of one length mispredict
/// less.
pub(super) struct Layout {
    // By count and length: the slots that such words take, then the next free one of them.
    small: Vec<usize>,
    other: FxHashMap<(u64, usize), usize>,
    num_words: usize,
    num_pairs: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            small: vec![0; NUM_SMALL * NUM_SMALL],
            other: FxHashMap::default(),
            num_words: 0,
            num_pairs: 0,
        }
    }
}

impl Layout {
    fn entry(&mut self, len: usize, count: u64) -> &mut usize {
        let len = len.min(NUM_SMALL);
        match usize::try_from(count) {
            Ok(small) if small < NUM_SMALL && len < NUM_SMALL => {
                &mut self.small[small * NUM_SMALL + len]
            }
            _ => self.other.entry((count, len)).or_default(),
        }
    }

    /// Makes room for a word and the border behind it.
    pub fn measure(&mut self, len: usize, count: u64) -> Result<(), Error> {
        // No pair can occur more often than all pairs do now, so every later sum fits too.
        self.num_pairs = (len as u64 - 1)
            .checked_mul(count)
            .and_then(|pairs| pairs.checked_add(self.num_pairs))
            .filter(|&pairs| i64::try_from(pairs).is_ok())
            .ok_or(Error::TooManyOccurrences)?;
        self.num_words += 1;
        *self.entry(len, count) += len + 1;
        Ok(())
    }

    /// Gives each count its slots; returns how many there are, with the border before the first.
    pub fn place(&mut self) -> Result<(Vec<Class>, usize), Error> {
        let small = self.small.iter_mut().enumerate().filter(|one| *one.1 > 0);
        let small = small.map(|(index, slots)| {
            let count = (index / NUM_SMALL) as u64;
            ((count, index % NUM_SMALL), slots)
        });
        let other = self.other.iter_mut().map(|(&key, slots)| (key, slots));
        let mut groups: Vec<_> = small.chain(other).collect();
        groups.sort_unstable_by_key(|(key, _)| *key);
        let mut classes: Vec<Class> = Vec::new();
        let mut end = 1;
        for ((count, _), slots) in groups {
            end += std::mem::replace(slots, end);
            match classes.last_mut() {
                Some(class) if class.count == count => class.end = end,
                _ => classes.push(Class { end, count }),
            }
        }
        // Places are kept in 32 bits.
        if u32::try_from(end).is_err() {
            return Err(Error::TooManyWords(self.num_words));
        }
        Ok((classes, end))
    }

    /// Returns the first slot of a word that was measured.
    pub fn claim(&mut self, len: usize, count: u64) -> usize {
        let next = self.entry(len, count);
        std::mem::replace(next, *next + len + 1)
    }
}
