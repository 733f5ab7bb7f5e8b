//! Bulk encoding of made-up text: words seen for the first time, known words, one endless word.

#![allow(missing_docs)]

use std::hint::black_box;
use std::num::NonZeroUsize;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rustbpe_core::{Encoded, Encoder, Error, LAB_PATTERN, Options, Trainer};

const NUM_WORDS: usize = 60_000;
const TEXT_WORDS: usize = 400_000;
const NUM_MERGES: usize = 8_000;

/// A roll of a die, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }
}

/// Distinct words of one to five syllables.
fn words(dice: &mut Dice) -> Vec<String> {
    let letters = b"etaoinshrdlucmfwypvbgkqjxz";
    let mut syllable = || -> String {
        let len = 1 + dice.roll(3);
        (0..len)
            .map(|_| char::from(letters[dice.roll(26).min(dice.roll(26))]))
            .collect()
    };
    let syllables: Vec<String> = (0..400).map(|_| syllable()).collect();
    (0..NUM_WORDS)
        .map(|rank| {
            let len = 1 + dice.roll(2 + usize::try_from((rank + 1).ilog2() / 4).unwrap_or(0));
            (0..len).map(|_| &*syllables[dice.roll(400)]).collect()
        })
        .collect()
}

/// Some two megabytes in which a few words are frequent and most are rare.
fn text(dice: &mut Dice, words: &[String]) -> String {
    (0..TEXT_WORDS)
        .flat_map(|_| {
            let below = 1 + dice.roll(NUM_WORDS);
            [" ", &words[dice.roll(below).min(dice.roll(below))]]
        })
        .collect()
}

fn tokens(words: &[String]) -> Result<Vec<Vec<u8>>, Error> {
    let words: Vec<String> = words.iter().map(|word| format!(" {word}")).collect();
    let counted = words.iter().map(|word| (word.as_bytes(), 1));
    let mut trainer = Trainer::new(counted, NUM_MERGES)?;
    while !trainer.advance(1_000).is_done {}
    let mut tokens: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    for (left, right) in trainer.merges() {
        let [left, right] = [*left, *right].map(|id| usize::try_from(id).unwrap_or(0));
        tokens.push([&tokens[left][..], &tokens[right][..]].concat());
    }
    Ok(tokens)
}

fn run(encoder: &Encoder, text: &str) -> Result<Encoded, Error> {
    let options = Options {
        prefix: None,
        num_threads: NonZeroUsize::MIN,
    };
    encoder.encode(&[black_box(text)], options, &mut || false)
}

fn encode(bench: &mut Criterion) {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let words = words(&mut dice);
    let text = text(&mut dice, &words);
    let Ok(tokens) = tokens(&words) else {
        return;
    };
    let new = || Encoder::new(black_box(&tokens), LAB_PATTERN);
    let mut group = bench.benchmark_group("encode");
    group.sample_size(20);
    group.bench_function("prepare 8 k tokens", |bencher| bencher.iter(new));
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("words seen first", |bencher| {
        let first = |encoder: &mut Result<Encoder, Error>| {
            encoder.as_ref().map(|encoder| run(encoder, &text)).ok()
        };
        bencher.iter_batched_ref(new, first, BatchSize::PerIteration);
    });
    group.bench_function("known words", |bencher| {
        let encoder = new();
        bencher.iter(|| encoder.as_ref().map(|encoder| run(encoder, &text)).ok());
    });
    let endless = "e".repeat(1 << 20);
    group.throughput(Throughput::Bytes(endless.len() as u64));
    group.bench_function("a megabyte without a border", |bencher| {
        let encoder = new();
        bencher.iter(|| encoder.as_ref().map(|encoder| run(encoder, &endless)).ok());
    });
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
