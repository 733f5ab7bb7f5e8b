use std::collections::BTreeMap;
use std::fmt::Write;

use super::*;
use crate::split::LAB_PATTERN;

fn counter(max_chars: u64, max_doc_chars: u64, num_threads: usize) -> Counter {
    let limits = Limits {
        max_chars,
        max_doc_chars,
    };
    Counter::new(LAB_PATTERN, limits, NonZeroUsize::new(num_threads).unwrap()).unwrap()
}

fn unlimited(num_threads: usize) -> Counter {
    counter(u64::MAX, u64::MAX, num_threads)
}

/// Words of every length, more than the fronts hold, in documents of very different sizes.
fn docs() -> Vec<String> {
    let mut docs = vec![String::new(); 300];
    for number in 0..60_000_usize {
        let word = number * number % 65_521;
        let doc = &mut docs[number % 17 * number % 300];
        let tail = "yz".repeat(number % 23);
        write!(doc, " w{word:x}{tail} {}", number % 7).unwrap();
    }
    docs.push("\u{fc}ber".repeat(3_000) + " end");
    docs
}

/// The counts by a map of the standard library.
fn expected(docs: &[String]) -> BTreeMap<&[u8], u64> {
    let splitter = Splitter::new(LAB_PATTERN).unwrap();
    let mut counts = BTreeMap::new();
    for doc in docs {
        splitter
            .for_each(doc, |word| *counts.entry(word.as_bytes()).or_default() += 1)
            .unwrap();
    }
    counts
}

#[test]
fn limits_are_in_characters_and_exact() {
    let mut counter = counter(7, 4, 1);
    assert!(counter.feed(&["\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"]).unwrap());
    assert!(!counter.feed(&["abcdef", "never read"]).unwrap());
    assert_eq!((counter.num_docs(), counter.num_chars()), (2, 7));
    assert_eq!(
        counter.words(),
        [
            ("abc".as_bytes(), 1),
            ("\u{e9}\u{e9}\u{e9}\u{e9}".as_bytes(), 1)
        ]
    );
}

#[test]
fn a_prefix_has_as_many_characters_as_asked_for() {
    let text = "a\u{e9}\u{5b57}\u{1f642}".repeat(2_000);
    for max_chars in [0, 1, 5, 399, 400, 401, 1_024, 7_998, 8_000, 9_000] {
        let expected: String = text.chars().take(max_chars).collect();
        let num_chars = expected.chars().count() as u64;
        assert_eq!(prefix(&text, max_chars as u64), (&*expected, num_chars));
    }
}

#[test]
fn any_number_of_threads_and_any_batches_count_the_same() {
    let docs = docs();
    let expected = expected(&docs);
    for (num_threads, batch) in [(1, 400), (2, 400), (5, 77), (3, 1)] {
        let mut counter = unlimited(num_threads);
        for texts in docs.chunks(batch) {
            counter.feed(texts).unwrap();
        }
        assert_eq!(counter.num_words(), expected.len());
        assert!(counter.words().into_iter().eq(expected.clone()));
    }
}

#[test]
fn counts_yields_every_word_once_and_may_be_run_through_again() {
    let docs = docs();
    let mut counter = unlimited(2);
    counter.feed(&docs).unwrap();
    let counts = counter.counts();
    let again = counts.clone();
    assert_eq!(counts.collect::<BTreeMap<_, _>>(), expected(&docs));
    assert_eq!(again.count(), expected(&docs).len());
}

#[test]
fn reading_the_counts_between_batches_changes_nothing() {
    let docs = docs();
    let mut counter = unlimited(2);
    for texts in docs.chunks(50) {
        counter.feed(texts).unwrap();
        counter.num_words();
    }
    assert!(counter.words().into_iter().eq(expected(&docs)));
}

#[test]
fn one_long_line_keeps_every_thread_busy_and_counts_the_same() {
    let line = vec![docs().concat()];
    let mut counter = unlimited(4);
    counter.feed(&line).unwrap();
    assert!(counter.words().into_iter().eq(expected(&line)));
}

#[test]
fn a_stopped_feed_leaves_a_counter_that_counts_on() {
    let docs = docs();
    for (pattern, num_threads) in [(LAB_PATTERN, 1), (LAB_PATTERN, 3), (r"\w+|\W+", 2)] {
        let threads = NonZeroUsize::new(num_threads).unwrap();
        let mut counter = Counter::new(pattern, Limits::default(), threads).unwrap();
        let mut num_asked = 0;
        let many: Vec<&String> = docs.iter().cycle().take(6_000).collect();
        let found = counter.feed_while(&many, &mut || {
            num_asked += 1;
            num_asked < 2
        });
        assert_eq!(found, Err(Error::Stopped));
        assert_eq!(num_asked, 2);
        assert!(counter.feed(&["abc"]).unwrap());
        assert!(counter.num_words() > 0);
    }
}

#[test]
fn a_text_that_the_engine_gives_up_on_ends_the_batch_of_all_threads() {
    // Not one of the known spellings: the engine must look ahead from every space.
    let pattern = r"(?:\s+(?!\S))|\s+|\S+";
    let mut docs = vec!["word ".repeat(1_000); 100];
    docs[50] = " ".repeat(3_000_000) + "x";
    let mut counter =
        Counter::new(pattern, Limits::default(), NonZeroUsize::new(3).unwrap()).unwrap();
    assert!(matches!(counter.feed(&docs), Err(Error::Split { .. })));
    assert!(counter.feed(&["abc"]).unwrap());
}

#[test]
fn memory_is_told() {
    let mut counter = unlimited(1);
    let before = counter.memory_bytes();
    counter.feed(&docs()).unwrap();
    let num_words = counter.num_words();
    assert!(counter.memory_bytes() > before + 24 * num_words);
}
