use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use super::*;

type Corpus = Vec<(Vec<u8>, u64)>;

/// Recounts every pair before every merge.
fn naive(words: &Corpus, max_merges: usize) -> Vec<(Pair, u64)> {
    let mut words: Vec<(Vec<u32>, u64)> = words
        .iter()
        .map(|(bytes, count)| (bytes.iter().map(|&b| u32::from(b)).collect(), *count))
        .collect();
    let mut merges = Vec::new();
    while merges.len() < max_merges {
        let mut counts: BTreeMap<Pair, u64> = BTreeMap::new();
        for (ids, count) in words.iter().filter(|(_, count)| *count > 0) {
            for two in ids.windows(2) {
                *counts.entry((two[0], two[1])).or_default() += count;
            }
        }
        let best = counts.iter().max_by_key(|(pair, n)| (**n, Reverse(**pair)));
        let Some((&pair, &count)) = best else {
            break;
        };
        let id = 256 + u32::try_from(merges.len()).unwrap();
        merges.push((pair, count));
        for (ids, _) in &mut words {
            let mut out = Vec::new();
            let mut i = 0;
            while i < ids.len() {
                if ids[i] == pair.0 && ids.get(i + 1) == Some(&pair.1) {
                    out.push(id);
                    i += 2;
                } else {
                    out.push(ids[i]);
                    i += 1;
                }
            }
            *ids = out;
        }
    }
    merges
}

fn iter(words: &Corpus) -> impl Iterator<Item = (&[u8], u64)> + Clone {
    words.iter().map(|(bytes, count)| (&bytes[..], *count))
}

fn finish(trainer: &mut Trainer, step: usize) -> Vec<(Pair, u64)> {
    while !trainer.advance(step).is_done {}
    let merges = trainer.merges().iter().copied();
    merges.zip(trainer.counts().iter().copied()).collect()
}

fn train(words: &Corpus, max_merges: usize, step: usize) -> Vec<Pair> {
    let mut trainer = Trainer::new(iter(words), max_merges).unwrap();
    let merges = finish(&mut trainer, step);
    merges.into_iter().map(|(pair, _)| pair).collect()
}

/// Trains with many indices, long interrupted, and ids of either width.
fn train_tuned(
    words: &Corpus,
    max_merges: usize,
    tuning: Tuning,
    fuel: usize,
) -> [Vec<(Pair, u64)>; 2] {
    let narrow = Width::Narrow(Loop::new(iter(words), tuning).unwrap());
    let wide = Width::Wide(Loop::new(iter(words), tuning).unwrap());
    [narrow, wide].map(|width| {
        let mut trainer = Trainer::with_width(width, max_merges);
        trainer.fuel = fuel;
        finish(&mut trainer, 7)
    })
}

/// A small generator with a fixed seed: corpora must not change between runs.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    /// Few letters and small counts, so that ties abound; words may come twice or count nothing.
    fn corpus(&mut self, max_words: u64, max_len: u64) -> Corpus {
        let letters = 1 + self.roll(4);
        let max_count = [2, 3, 300][usize::try_from(self.roll(3)).unwrap()];
        let num_words = 1 + self.roll(max_words);
        let mut corpus = Vec::new();
        for _ in 0..num_words {
            let len = 1 + self.roll(max_len);
            let letter = |dice: &mut Self| b'a' + u8::try_from(dice.roll(letters)).unwrap();
            let word: Vec<u8> = (0..len).map(|_| letter(self)).collect();
            corpus.push((word, self.roll(max_count)));
        }
        corpus
    }

    fn tuning(&mut self) -> Tuning {
        Tuning {
            max_table_ids: [0, 257, 260, 1024][usize::try_from(self.roll(4)).unwrap()],
            num_first: usize::try_from(self.roll(4)).unwrap(),
            later_percent: usize::try_from(self.roll(60)).unwrap(),
            min_step: 1 + self.roll(3),
        }
    }
}

#[test]
fn merges_and_counts_equal_the_naive_trainer() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..600 {
        let corpus = dice.corpus(12, 24);
        let mut trainer = Trainer::new(iter(&corpus), 40).unwrap();
        assert_eq!(finish(&mut trainer, 3), naive(&corpus, 40), "{corpus:?}");
    }
}

#[test]
fn no_tuning_interruption_or_width_changes_the_merges() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for round in 0..600 {
        let corpus = dice.corpus(20, if round % 10 == 0 { 300 } else { 20 });
        let (mut tuning, fuel) = (dice.tuning(), 1 + usize::try_from(dice.roll(30)).unwrap());
        tuning.min_step = tuning.min_step.max(2);
        let expected = naive(&corpus, 60);
        for found in train_tuned(&corpus, 60, tuning, fuel) {
            assert_eq!(found, expected, "{corpus:?}");
        }
    }
}

#[test]
fn runs_of_one_letter_are_merged_from_the_left() {
    for len in 1..70 {
        let corpus = vec![
            (vec![b'a'; len], 3),
            ([&b"b"[..], &vec![b'a'; len / 2], b"b"].concat(), 2),
        ];
        let mut trainer = Trainer::new(iter(&corpus), 30).unwrap();
        assert_eq!(finish(&mut trainer, 1), naive(&corpus, 30), "{len}");
    }
}

#[test]
fn words_past_65535_bytes_are_trained_on() {
    let mut dice = Dice(7);
    let long = (0..70_001)
        .map(|_| b'a' + u8::try_from(dice.roll(3)).unwrap())
        .collect();
    let corpus = vec![(long, 2), (b"abcabc".to_vec(), 1 << 33)];
    let mut trainer = Trainer::new(iter(&corpus), 12).unwrap();
    assert_eq!(finish(&mut trainer, 5), naive(&corpus, 12));
}

#[test]
fn no_two_merges_make_the_same_bytes() {
    let mut dice = Dice(0x1234_5678_9abc_def1);
    for _ in 0..600 {
        let corpus = dice.corpus(12, 24);
        let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
        for (left, right) in train(&corpus, 200, 200) {
            let token = [&tokens[left as usize][..], &tokens[right as usize][..]].concat();
            tokens.push(token);
        }
        let distinct: HashSet<_> = tokens.iter().collect();
        assert_eq!(distinct.len(), tokens.len(), "{corpus:?}");
    }
}

#[test]
fn ties_go_to_the_smallest_ids() {
    let corpus = vec![
        (b"zy".to_vec(), 2),
        (b"ab".to_vec(), 2),
        (b"ac".to_vec(), 2),
    ];
    assert_eq!(train(&corpus, 2, 1), [(97, 98), (97, 99)]);
}

#[test]
fn training_ends_when_no_pair_is_left() {
    let corpus = vec![(b"abc".to_vec(), 1), (b"x".to_vec(), 9)];
    assert_eq!(train(&corpus, 100, 7), [(97, 98), (256, 99)]);
    assert!(train(&Vec::new(), 100, 7).is_empty());
    assert!(train(&corpus, 0, 7).is_empty());
}

#[test]
fn every_byte_value_can_be_merged() {
    let corpus = vec![((0..=255).chain([255, 255, 0, 0]).collect(), 5)];
    for max_merges in [300, 70_000] {
        let mut trainer = Trainer::new(iter(&corpus), max_merges).unwrap();
        assert_eq!(finish(&mut trainer, 99), naive(&corpus, 300));
    }
}

#[test]
fn counts_past_32_bits_are_kept() {
    let corpus = vec![(b"ab".to_vec(), 1 << 40), (b"cd".to_vec(), (1 << 40) + 1)];
    assert_eq!(train(&corpus, 1, 1), [(99, 100)]);
}

#[test]
fn memory_is_reported_with_its_peak() {
    let corpus = Dice(3).corpus(20, 20);
    let mut trainer = Trainer::new(iter(&corpus), 20).unwrap();
    finish(&mut trainer, 20);
    assert!(trainer.memory_bytes() > 0);
    assert!(trainer.peak_memory_bytes() >= trainer.memory_bytes());
}

#[test]
fn counts_past_63_bits_are_an_error() {
    let words = [(&b"abc"[..], u64::MAX / 4), (&b"abc"[..], u64::MAX / 4)];
    assert_eq!(
        Trainer::new(words, 1).err(),
        Some(Error::TooManyOccurrences)
    );
}

#[test]
fn too_many_merges_are_an_error() {
    let limit = u32::MAX as usize;
    assert_eq!(
        Trainer::new([], limit).err(),
        Some(Error::TooManyMerges(limit))
    );
}
