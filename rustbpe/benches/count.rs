//! Splitting and counting on one core: `cargo bench --bench count`.
//!
//! `BENCH_TEXT` names a file of real text; without it the text is made up, and its words are
//! fewer and shorter than those of real text.

use std::env;
use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::process;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustbpe_core::{Counter, GPT2_PATTERN, GPT4_PATTERN, LAB_PATTERN, Limits, Splitter};

const MADE_UP_BYTES: usize = 8 << 20;
const DOC_BYTES: usize = 4096;

/// Words whose frequencies fall with their numbers, with punctuation, numbers and line breaks.
fn made_up() -> String {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut below = move |end: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) % end
    };
    let mut text = String::new();
    while text.len() < MADE_UP_BYTES {
        let reach = 1 << below(17);
        let number = below(reach);
        let word: String = format!("{number:o}")
            .bytes()
            .map(|digit| char::from(b'a' + (digit - b'0') * 3))
            .collect();
        let end = match below(40) {
            0 => ".\n\n",
            1..=3 => ", ",
            4 => "'s ",
            5 => "\n    ",
            _ => " ",
        };
        let written = match below(50) {
            0 => write!(text, "{number} "),
            _ => write!(text, "{word}{end}"),
        };
        assert!(written.is_ok());
    }
    text
}

fn text() -> String {
    match env::var("BENCH_TEXT") {
        Ok(path) => fs::read_to_string(&path).unwrap_or_else(|error| {
            eprintln!("BENCH_TEXT: {path}: {error}");
            process::exit(2)
        }),
        Err(_) => made_up(),
    }
}

fn splitting(criterion: &mut Criterion, text: &str) {
    let mut group = criterion.benchmark_group("split");
    group.throughput(Throughput::Bytes(text.len() as u64));
    for (name, pattern) in [
        ("lab", LAB_PATTERN),
        ("gpt4", GPT4_PATTERN),
        ("gpt2", GPT2_PATTERN),
    ] {
        let Ok(splitter) = Splitter::new(pattern) else {
            continue;
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut num_words = 0_u64;
                let done = splitter.for_each_span(black_box(text), |_, _| {
                    num_words += 1;
                    true
                });
                assert!(done.is_ok());
                num_words
            });
        });
    }
    group.finish();
}

fn counting(criterion: &mut Criterion, text: &str) {
    let Ok(splitter) = Splitter::new(LAB_PATTERN) else {
        return;
    };
    let docs: Vec<&str> = splitter.pieces(text, DOC_BYTES).collect();
    let mut group = criterion.benchmark_group("count");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.sample_size(10);
    group.bench_function("lab", |bencher| {
        bencher.iter(|| {
            let counter = Counter::new(LAB_PATTERN, Limits::default(), NonZeroUsize::MIN);
            counter.map(|mut counter| {
                let fed = counter.feed(black_box(&docs));
                assert!(fed.is_ok());
                counter.num_words()
            })
        });
    });
    group.finish();
}

fn all(criterion: &mut Criterion) {
    let text = text();
    splitting(criterion, &text);
    counting(criterion, &text);
}

criterion_group!(benches, all);
criterion_main!(benches);
