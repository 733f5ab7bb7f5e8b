//! The splitters written by hand against the regex engine.

use super::pattern::spellings;
use super::*;

/// Characters of every class and width, and those that patterns name.
const ALPHABET: [&str; 26] = [
    "a",
    "S",
    "t",
    "l",
    "v",
    "E",
    "r",
    "'",
    "1",
    "7",
    " ",
    "\t",
    "\r",
    "\n",
    "!",
    "_",
    "\u{17f}",
    "\u{e9}",
    "\u{5b57}",
    "\u{1d7d8}",
    "\u{663}",
    "\u{a0}",
    "\u{85}",
    "\u{3000}",
    "\u{301}",
    "\u{1f642}",
];

fn words<'t>(splitter: &Splitter, text: &'t str) -> Vec<&'t str> {
    let mut words = Vec::new();
    splitter.for_each(text, |word| words.push(word)).unwrap();
    words
}

/// The two splitters of every spelling.
fn both() -> Vec<(Splitter, Splitter)> {
    spellings()
        .map(|pattern| {
            let ours = Splitter::new(pattern).unwrap();
            assert!(ours.is_known());
            (ours, Splitter::from_regex(pattern).unwrap())
        })
        .collect()
}

fn assert_equal(both: &[(Splitter, Splitter)], text: &str) {
    for (index, (ours, regex)) in both.iter().enumerate() {
        assert_eq!(words(ours, text), words(regex, text), "{index} {text:?}");
    }
}

/// A small generator of numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Texts in which runs, classes and windows meet in every way.
fn random_text(numbers: &mut Numbers, num_parts: usize) -> String {
    let mut text = String::new();
    // Most texts have few kinds of characters: rare meetings become common.
    let kinds: Vec<&str> = (0..=numbers.below(8))
        .map(|_| ALPHABET[numbers.below(ALPHABET.len())])
        .collect();
    for _ in 0..num_parts {
        let part = kinds[numbers.below(kinds.len())];
        let num_times = [1, 1, 1, 2, 3, 1 + numbers.below(300)][numbers.below(6)];
        text.extend(std::iter::repeat_n(part, num_times));
    }
    text
}

#[test]
fn words_carry_their_leading_space_and_digits_come_in_twos() {
    assert_eq!(
        words(
            &Splitter::new(LAB_PATTERN).unwrap(),
            "It's 2025,  ok?\r\n\n x"
        ),
        [
            "It", "'s", " ", "20", "25", ",", " ", " ok", "?\r\n\n", " x"
        ]
    );
}

#[test]
fn every_short_text_over_the_alphabet_splits_as_the_engine_does() {
    let both = both();
    for first in ALPHABET {
        for second in ALPHABET {
            for third in ALPHABET {
                let text = [first, second, third].concat();
                assert_equal(&both, &text);
                // The same in the middle of a window.
                assert_equal(&both, &format!("before {text}{}", "x y".repeat(30)));
            }
        }
    }
}

#[test]
fn random_texts_split_as_the_engine_does() {
    let both = both();
    let mut numbers = Numbers(0x2545_F491_4F6C_DD1D);
    for round in 0..2_000 {
        let num_parts = 1 + numbers.below(60);
        let text = random_text(&mut numbers, num_parts);
        assert_equal(&both, &text);
        if round % 4 == 0 {
            assert_equal(&both, &format!("{text}{}", &"abc ".repeat(20)));
        }
    }
}

#[test]
fn words_cover_the_whole_text() {
    let text = " \u{85}\u{3000}a\u{17f}'\u{17f} \t\r\n\u{df}9\u{663}\u{2167}\u{5b57} \u{5b57}";
    for pattern in spellings() {
        let splitter = Splitter::new(pattern).unwrap();
        assert_eq!(words(&splitter, text).concat(), text);
    }
}

#[test]
fn pieces_have_the_words_of_the_text() {
    let mut numbers = Numbers(7);
    let splitters: Vec<Splitter> = spellings().map(|p| Splitter::new(p).unwrap()).collect();
    for _ in 0..2_000 {
        let num_parts = 1 + numbers.below(60);
        let text = random_text(&mut numbers, num_parts);
        let max_bytes = numbers.below(40);
        for splitter in &splitters {
            let pieces: Vec<&str> = splitter.pieces(&text, max_bytes).collect();
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
            let cut: Vec<&str> = pieces.iter().flat_map(|p| words(splitter, p)).collect();
            assert_eq!(cut, words(splitter, &text), "{text:?} {max_bytes}");
        }
    }
}

#[test]
fn prose_without_line_breaks_is_cut_into_pieces_of_the_wanted_size() {
    let text = "Cut me, I'm a line of prose that never breaks. ".repeat(2_000);
    for pattern in spellings() {
        let splitter = Splitter::new(pattern).unwrap();
        let pieces: Vec<&str> = splitter.pieces(&text, 1_000).collect();
        assert!(pieces.iter().all(|piece| piece.len() <= 1_000));
        assert!(pieces.len() <= text.len() / 1_000 + 3);
        assert_eq!(pieces.concat(), text);
    }
}

#[test]
fn an_unknown_pattern_is_not_cut() {
    let splitter = Splitter::new(r"\w+|\W+").unwrap();
    assert!(!splitter.is_known());
    assert_eq!(splitter.pieces("a b c", 1).collect::<Vec<_>>(), ["a b c"]);
    assert_eq!(splitter.pieces("", 1).count(), 0);
}

#[test]
fn long_runs_of_equal_characters_are_split() {
    // Without optimisation the splitters take a hundred times as long.
    const LEN: usize = if cfg!(debug_assertions) {
        1_000_000
    } else {
        50_000_000
    };
    for unit in ["a", " ", "\n", "'", "\r\n", "'s", "0", "\u{a0}"] {
        let text = unit.repeat(LEN / unit.len());
        for pattern in [LAB_PATTERN, GPT2_PATTERN] {
            let splitter = Splitter::new(pattern).unwrap();
            let mut num_bytes = 0;
            for piece in splitter.pieces(&text, 1 << 16) {
                splitter
                    .for_each(piece, |word| num_bytes += word.len())
                    .unwrap();
            }
            assert_eq!(num_bytes, text.len());
        }
    }
}

#[test]
fn a_bad_pattern_is_an_error() {
    assert!(matches!(Splitter::new("("), Err(Error::Pattern(_))));
}

#[test]
fn a_text_that_the_engine_gives_up_on_is_an_error() {
    let splitter = Splitter::from_regex(LAB_PATTERN).unwrap();
    let found = splitter.for_each(&" ".repeat(3_000_000), |_| {});
    assert!(matches!(found, Err(Error::Split { .. })));
}

#[test]
fn a_visitor_can_end_a_regex_walk() {
    let splitter = Splitter::new(r"\w").unwrap();
    let mut num_words = 0;
    splitter
        .for_each_span("abcdef", |_, _| {
            num_words += 1;
            num_words < 3
        })
        .unwrap();
    assert_eq!(num_words, 3);
}
