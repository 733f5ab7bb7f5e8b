//! The distinct words as token ids, all in one arena, and the merge of a pair inside one word.

use crate::error::Error;

/// Two neighbouring token ids.
pub type Pair = (u32, u32);

/// Words with at least one pair; their ids shrink in place as pairs are merged.
pub(crate) struct Words {
    ids: Vec<u32>,
    words: Vec<Word>,
}

struct Word {
    start: usize,
    len: usize,
    count: i64,
}

/// What merging a pair in one word did to the pairs around it.
#[derive(Default)]
pub(crate) struct Changes {
    pub removed: Vec<Pair>,
    pub added: Vec<Pair>,
}

impl Words {
    /// Copies the words in, one id per byte.
    pub fn new<'w>(counted: impl IntoIterator<Item = (&'w [u8], u64)>) -> Result<Self, Error> {
        let mut ids = Vec::new();
        let mut words = Vec::new();
        let mut num_pairs = 0_i64;
        for (bytes, count) in counted {
            if bytes.len() < 2 || count == 0 {
                continue;
            }
            let count = i64::try_from(count).map_err(|_| Error::TooManyOccurrences)?;
            // No pair can occur more often than all pairs do now, so every later sum fits too.
            num_pairs = i64::try_from(bytes.len() - 1)
                .ok()
                .and_then(|pairs| pairs.checked_mul(count))
                .and_then(|pairs| pairs.checked_add(num_pairs))
                .ok_or(Error::TooManyOccurrences)?;
            words.push(Word {
                start: ids.len(),
                len: bytes.len(),
                count,
            });
            ids.extend(bytes.iter().copied().map(u32::from));
        }
        if u32::try_from(words.len()).is_err() {
            return Err(Error::TooManyWords(words.len()));
        }
        Ok(Self { ids, words })
    }

    /// Yields the number, the count and the ids of every word.
    pub fn iter(&self) -> impl Iterator<Item = (u32, i64, &[u32])> {
        (0_u32..)
            .zip(&self.words)
            .map(|(number, word)| (number, word.count, &self.ids[word.start..][..word.len]))
    }

    /// Replaces `pair` by `id` throughout a word and returns the word's count.
    ///
    /// `changes` then holds each neighbouring pair that went or came, once per occurrence.
    pub fn merge(&mut self, number: u32, pair: Pair, id: u32, changes: &mut Changes) -> i64 {
        let word = &mut self.words[number as usize];
        let ids = &mut self.ids[word.start..][..word.len];
        word.len = merge_ids(ids, pair, id, changes);
        word.count
    }
}

/// Merges left to right in place and returns the new length.
fn merge_ids(ids: &mut [u32], (left, right): Pair, id: u32, changes: &mut Changes) -> usize {
    changes.removed.clear();
    changes.added.clear();
    let (mut read, mut write) = (0, 0);
    // The pair between two adjacent matches goes once, with the first of them.
    let mut is_after_match = false;
    while read < ids.len() {
        let is_match = ids[read] == left && ids.get(read + 1) == Some(&right);
        if !is_match {
            ids[write] = ids[read];
            (read, write) = (read + 1, write + 1);
            is_after_match = false;
            continue;
        }
        if write > 0 && !is_after_match {
            changes.removed.push((ids[write - 1], left));
        }
        changes.removed.push((left, right));
        if let Some(&next) = ids.get(read + 2) {
            changes.removed.push((right, next));
        }
        ids[write] = id;
        (read, write) = (read + 2, write + 1);
        is_after_match = true;
    }
    if write < ids.len() {
        let pairs = ids[..write].windows(2).map(|two| (two[0], two[1]));
        // The id is new, so a pair that holds it did not exist before.
        changes
            .added
            .extend(pairs.filter(|two| two.0 == id || two.1 == id));
    }
    write
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(ids: &[u32], pair: Pair) -> (Vec<u32>, Vec<Pair>, Vec<Pair>) {
        let mut ids = ids.to_vec();
        let mut changes = Changes::default();
        let len = merge_ids(&mut ids, pair, 9, &mut changes);
        ids.truncate(len);
        (ids, changes.removed, changes.added)
    }

    #[test]
    fn neighbours_of_a_match_change_once() {
        let (ids, removed, added) = merged(&[3, 1, 2, 1, 2, 4], (1, 2));
        assert_eq!(ids, [3, 9, 9, 4]);
        assert_eq!(removed, [(3, 1), (1, 2), (2, 1), (1, 2), (2, 4)]);
        assert_eq!(added, [(3, 9), (9, 9), (9, 4)]);
    }

    #[test]
    fn a_run_is_merged_from_the_left() {
        let (ids, removed, added) = merged(&[1, 1, 1, 1, 1], (1, 1));
        assert_eq!(ids, [9, 9, 1]);
        assert_eq!(removed, [(1, 1); 4]);
        assert_eq!(added, [(9, 9), (9, 1)]);
    }

    #[test]
    fn a_word_without_the_pair_stays() {
        let (ids, removed, added) = merged(&[1, 3, 2], (1, 2));
        assert_eq!(ids, [1, 3, 2]);
        assert!(removed.is_empty() && added.is_empty());
    }

    #[test]
    fn counts_past_63_bits_are_an_error() {
        let words = [(&b"abc"[..], u64::MAX / 4), (&b"abc"[..], u64::MAX / 4)];
        assert_eq!(Words::new(words).err(), Some(Error::TooManyOccurrences));
    }
}
