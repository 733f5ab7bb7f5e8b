//! Documents in bulk: order, offsets, threads, widths and stopping.

use std::num::NonZeroUsize;

use super::{Encoded, Encoder, Ids, Options};
use crate::error::Error;
use crate::split::LAB_PATTERN;

const LETTERS: &str = r"\p{L}+|\P{L}+";

fn bytes() -> Vec<Vec<u8>> {
    (0..=u8::MAX).map(|byte| vec![byte]).collect()
}

fn with(more: &[&str]) -> Encoder {
    let mut tokens = bytes();
    tokens.extend(more.iter().map(|token| token.as_bytes().to_vec()));
    Encoder::new(&tokens, LAB_PATTERN).unwrap()
}

fn options(prefix: Option<u32>, num_threads: usize) -> Options {
    let num_threads = NonZeroUsize::new(num_threads).unwrap();
    Options {
        prefix,
        num_threads,
    }
}

fn encode(encoder: &Encoder, docs: &[&str], options: Options) -> Encoded {
    encoder.encode(docs, options, &mut || false).unwrap()
}

#[test]
fn documents_come_end_to_end_each_behind_the_prefix() {
    let encoder = with(&["ab", "abc"]);
    let docs = ["abc ab", "", "\0"];
    let bare = encode(&encoder, &docs, options(None, 1));
    assert_eq!(bare.ids, Ids::Narrow(vec![257, 32, 256, 0]));
    assert_eq!(bare.offsets, [0, 3, 3, 4]);
    let prefixed = encode(&encoder, &docs, options(Some(300), 1));
    assert_eq!(
        prefixed.ids,
        Ids::Narrow(vec![300, 257, 32, 256, 300, 300, 0])
    );
    assert_eq!(prefixed.offsets, [0, 4, 5, 7]);
    let none = encode(&encoder, &[], options(Some(300), 2));
    assert_eq!((none.ids, none.offsets), (Ids::Narrow(vec![]), vec![0]));
}

#[test]
fn ids_are_as_wide_as_the_largest_there_may_be() {
    let encoder = with(&["ab"]);
    let wide = encode(&encoder, &["ab"], options(Some(1 << 16), 1));
    assert_eq!(wide.ids, Ids::Wide(vec![1 << 16, 256]));
    let narrow = encode(&encoder, &["ab"], options(Some((1 << 16) - 1), 1));
    assert_eq!(narrow.ids, Ids::Narrow(vec![u16::MAX, 256]));
    let gaps = |count| {
        let mut tokens = bytes();
        tokens.resize(count, vec![]);
        Encoder::new(&tokens, LAB_PATTERN).unwrap()
    };
    let ids = |count| encode(&gaps(count), &["a"], options(None, 1)).ids;
    assert_eq!(ids(1 << 16), Ids::Narrow(vec![97]));
    assert_eq!(ids((1 << 16) + 1), Ids::Wide(vec![97]));
}

#[test]
fn threads_passes_and_cuts_change_nothing() {
    let encoder = with(&["th", "the", " the", "ing", " d", "oc"]);
    let docs: Vec<String> = (0..3_000)
        .map(|i| format!("the thing of document {i} is the {}\n\n", i * 7919))
        .collect();
    let long = docs.concat().repeat(3);
    let unheard = format!("{}{}", "the".repeat(40_000), "\u{5b57}".repeat(500));
    let mut docs: Vec<&str> = docs.iter().map(String::as_str).collect();
    docs.extend([&long, "", &unheard]);
    let one = encode(&encoder, &docs, options(Some(7), 1));
    assert_eq!(encode(&encoder, &docs, options(Some(7), 1)), one);
    for num_threads in [2, 5] {
        assert_eq!(encode(&encoder, &docs, options(Some(7), num_threads)), one);
    }
    let Ids::Narrow(ids) = &one.ids else {
        panic!("a small vocabulary has narrow ids");
    };
    // A document alone has the ids that it has among others.
    for doc in [0, 1_500, 3_000, 3_001, 3_002] {
        let alone = encode(&encoder, &docs[doc..=doc], options(Some(7), 1)).ids;
        let [start, end] = [doc, doc + 1].map(|doc| usize::try_from(one.offsets[doc]).unwrap());
        assert_eq!(alone, Ids::Narrow(ids[start..end].to_vec()));
    }
    let mut counts = vec![0; encoder.num_tokens()];
    let bare = encode(&encoder, &docs, options(None, 1)).ids;
    let Ids::Narrow(bare) = bare else {
        panic!("a small vocabulary has narrow ids");
    };
    for id in bare {
        counts[usize::from(id)] += 1;
    }
    for num_threads in [1, 3] {
        let num_threads = NonZeroUsize::new(num_threads).unwrap();
        assert_eq!(
            encoder.count(&docs, num_threads, &mut || false).unwrap(),
            counts
        );
    }
}

#[test]
fn more_words_than_are_remembered_are_encoded_all_the_same() {
    // They fill the table to its bound, and meet each other again after it.
    let word = |index: usize| -> String {
        let letter = |place| char::from(b'a' + u8::try_from(index / place % 26).unwrap());
        [1, 26, 676, 17_576]
            .map(letter)
            .iter()
            .chain(&['q'; 2])
            .collect()
    };
    let text: String = (0..600_000)
        .map(|i| word(i % 456_976) + if i % 3 == 0 { "\n" } else { "!" })
        .collect();
    let encoder = with(&["qq"]);
    let Ids::Narrow(ids) = encode(&encoder, &[&text], options(None, 1)).ids else {
        panic!("a small vocabulary has narrow ids");
    };
    let expected: Vec<u16> = text
        .replace("qq", "\u{1}")
        .bytes()
        .map(|byte| if byte == 1 { 256 } else { byte.into() })
        .collect();
    assert!(ids == expected);
    assert!(encoder.memory_bytes() < 64 << 20);
}

#[test]
fn word_ends_are_byte_offsets() {
    let encoder = with(&["ab"]);
    let (ids, ends) = encoder
        .encode_words("ab \u{e9}\u{e9}, 123", &mut || false)
        .unwrap();
    assert_eq!(
        ids,
        Ids::Narrow(vec![256, 32, 0xC3, 0xA9, 0xC3, 0xA9, 44, 32, 49, 50, 51])
    );
    assert_eq!(ends, [2, 7, 8, 9, 11, 12]);
    assert_eq!(
        encoder.encode_words("", &mut || false).unwrap(),
        (Ids::Narrow(vec![]), vec![])
    );
}

#[test]
fn a_caller_can_stop_every_kind_of_work() {
    let mut tokens = bytes();
    tokens.extend([b"aa".to_vec(), b"aaaa".to_vec()]);
    let one_word = "a".repeat(30 << 20);
    let many_words = "a b".repeat(10 << 20);
    for (pattern, text) in [(LAB_PATTERN, &one_word), (LETTERS, &many_words)] {
        let encoder = Encoder::new(&tokens, pattern).unwrap();
        let docs = [text];
        let two = NonZeroUsize::new(2).unwrap();
        let found = encoder.encode(&docs, options(None, 2), &mut || true);
        assert_eq!(found.err(), Some(Error::Stopped));
        assert_eq!(
            encoder.encode_words(text, &mut || true).err(),
            Some(Error::Stopped)
        );
        assert_eq!(
            encoder.count(&docs, two, &mut || true).err(),
            Some(Error::Stopped)
        );
        // It can be used again.
        assert_eq!(
            encode(&encoder, &["aaa"], options(None, 1)).ids,
            Ids::Narrow(vec![256, 97])
        );
    }
}

#[test]
fn what_the_pattern_skips_is_dropped_and_a_runaway_is_an_error() {
    let encoder = Encoder::new(&bytes(), r"\p{L}+").unwrap();
    assert_eq!(
        encode(&encoder, &["a, b"], options(None, 1)).ids,
        Ids::Narrow(vec![97, 98])
    );
    assert!(matches!(
        Encoder::new(&bytes(), "("),
        Err(Error::Pattern(_))
    ));
    let encoder = Encoder::new(&bytes(), &format!("{LAB_PATTERN}|never")).unwrap();
    let found = encoder.encode(&[" ".repeat(3_000_000)], options(None, 1), &mut || false);
    assert!(matches!(found, Err(Error::Split { .. })));
}
