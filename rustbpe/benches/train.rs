//! The merge loop alone, on made-up words whose counts fall as those of a language do.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rustbpe_core::Trainer;

const NUM_WORDS: u64 = 100_000;
const NUM_MERGES: usize = 8_000;

/// Words of one to six syllables, the frequent ones short.
fn words() -> Vec<(Vec<u8>, u64)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = |sides: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % sides
    };
    let syllables: Vec<String> = (0..400)
        .map(|_| {
            let letters = b"etaoinshrdlucmfwypvbgkqjxz";
            let len = 1 + roll(3);
            let mut letter = || usize::try_from(roll(26).min(roll(26))).unwrap_or(0);
            (0..len).map(|_| char::from(letters[letter()])).collect()
        })
        .collect();
    (1..=NUM_WORDS)
        .map(|rank| {
            let len = 1 + roll(2 + u64::from(rank.ilog2()) / 4);
            let mut syllable = || usize::try_from(roll(400).min(roll(400))).unwrap_or(0);
            let word: String = (0..len).map(|_| &*syllables[syllable()]).collect();
            (format!(" {word}").into_bytes(), 1 + 4 * NUM_WORDS / rank)
        })
        .collect()
}

fn train(bench: &mut Criterion) {
    let words = words();
    let counted = || words.iter().map(|(word, count)| (&word[..], *count));
    let mut group = bench.benchmark_group("train");
    group.sample_size(10);
    group.bench_function("lay out 100 k words", |bencher| {
        bencher.iter(|| Trainer::new(black_box(counted()), NUM_MERGES));
    });
    group.bench_function("8 k merges of 100 k words", |bencher| {
        bencher.iter_batched(
            || Trainer::new(counted(), NUM_MERGES),
            |mut trainer| {
                while trainer
                    .as_mut()
                    .is_ok_and(|one| !one.advance(1_000).is_done)
                {}
                trainer
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, train);
criterion_main!(benches);
