//! Every way to merge against the definition, on vocabularies that no training would make.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

use super::merge::{merge_long, merge_short};
use super::queue::{Buckets, Heap};
use super::{MAX_TOKENS, Rank, Vocab};
use crate::error::Error;

/// Numbers that look random, the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn bytes(&mut self, max_len: usize, num_letters: usize) -> Vec<u8> {
        let len = 1 + self.below(max_len);
        (0..len)
            .map(|_| b'a' + u8::try_from(self.below(num_letters)).unwrap())
            .collect()
    }
}

/// All bytes, in an order of their own, among random strings: many are out of reach of any merge.
fn random_tokens(random: &mut Random, num_letters: usize) -> Vec<Vec<u8>> {
    let mut tokens: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    for _ in 0..random.below(80) {
        let token = random.bytes(7, num_letters);
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    for place in (1..tokens.len()).rev() {
        tokens.swap(place, random.below(place + 1));
    }
    tokens
}

/// What encoding is, slowly.
struct Definition<'t>(HashMap<&'t [u8], Rank>);

impl<'t> Definition<'t> {
    fn new(tokens: &'t [Vec<u8>]) -> Self {
        Self((0..).zip(tokens).map(|(id, it)| (&it[..], id)).collect())
    }

    /// The whole word, or else what merging comes to.
    fn encode(&self, word: &[u8]) -> Vec<Rank> {
        match self.0.get(word) {
            Some(id) => vec![*id],
            None => self.merge(word),
        }
    }

    /// The lowest rank by bytes goes first, the leftmost among equals.
    fn merge(&self, piece: &[u8]) -> Vec<Rank> {
        let mut borders: Vec<usize> = (0..=piece.len()).collect();
        loop {
            let pairs = borders.windows(3).enumerate();
            let ranked =
                pairs.filter_map(|(at, it)| Some((*self.0.get(&piece[it[0]..it[2]])?, at)));
            let Some((_, at)) = ranked.min() else {
                break;
            };
            borders.remove(at + 1);
        }
        let parts = borders.windows(2);
        parts.map(|it| self.0[&piece[it[0]..it[1]]]).collect()
    }
}

fn encode(vocab: &Vocab, word: &[u8]) -> Vec<Rank> {
    let mut ids = Vec::new();
    vocab
        .encode(word, &mut ids, &AtomicBool::new(false))
        .unwrap();
    ids
}

#[test]
fn any_vocabulary_encodes_as_defined() {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    for _ in 0..300 {
        let num_letters = 1 + random.below(4);
        let tokens = random_tokens(&mut random, num_letters);
        let vocab = Vocab::new(&tokens).unwrap();
        let definition = Definition::new(&tokens);
        for token in tokens.iter().filter(|token| token.len() > 1) {
            assert_eq!(encode(&vocab, token), definition.encode(token));
        }
        for max_len in [6, 14, 30, 62, 200] {
            for _ in 0..8 {
                let word = random.bytes(max_len, num_letters);
                assert_eq!(encode(&vocab, &word), definition.encode(&word));
            }
        }
    }
}

#[test]
fn long_and_short_pieces_are_merged_alike() {
    let mut random = Random(0xFEDC_BA98_7654_3211);
    let never = AtomicBool::new(false);
    for _ in 0..300 {
        let num_letters = 1 + random.below(3);
        let tokens = random_tokens(&mut random, num_letters);
        let vocab = Vocab::new(&tokens).unwrap();
        let piece = random.bytes(62, num_letters);
        let [mut short, mut heap, mut buckets] = [const { Vec::new() }; 3];
        merge_short::<64>(&vocab, &piece, &mut short);
        merge_long::<Heap>(&vocab, &piece, &mut heap, &never).unwrap();
        merge_long::<Buckets>(&vocab, &piece, &mut buckets, &never).unwrap();
        assert_eq!(short, Definition::new(&tokens).merge(&piece));
        assert_eq!(heap, short);
        assert_eq!(buckets, short);
    }
}

#[test]
fn a_megabyte_of_one_letter_is_merged_to_the_end() {
    let mut tokens: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    tokens.extend((1..=7).map(|power| vec![b'a'; 1 << power]));
    let vocab = Vocab::new(&tokens).unwrap();
    let ids = encode(&vocab, &vec![b'a'; (1 << 20) + 3]);
    let (last, whole) = ids.split_at(1 << 13);
    assert!(last.iter().all(|id| *id == 262));
    assert_eq!(whole, [256, u32::from(b'a')]);
}

#[test]
fn a_raised_flag_stops_a_long_piece() {
    let tokens: Vec<_> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    let vocab = Vocab::new(&tokens).unwrap();
    let stop = AtomicBool::new(true);
    for len in [100, 100_000] {
        let found = vocab.encode(&vec![b'a'; len], &mut Vec::new(), &stop);
        assert_eq!(found, Err(Error::Stopped));
    }
}

#[test]
fn an_empty_token_is_a_gap() {
    let mut tokens: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    tokens.extend([vec![], b"ab".to_vec(), vec![], b"abc".to_vec()]);
    let vocab = Vocab::new(&tokens).unwrap();
    assert_eq!(vocab.len(), 260);
    assert_eq!(encode(&vocab, b"abcab"), [259, 257]);
}

#[test]
fn a_list_that_is_no_vocabulary_is_an_error() {
    let bytes: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    let with = |more: &[&[u8]]| {
        let tokens = bytes.iter().map(Vec::as_slice).chain(more.iter().copied());
        Vocab::new(&tokens.collect::<Vec<_>>()).err()
    };
    let duplicate = |first, second| Some(Error::DuplicateToken { first, second });
    assert_eq!(with(&[b"ab", b"abc"]), None);
    assert_eq!(with(&[b"a"]), duplicate(97, 256));
    assert_eq!(with(&[b"ab", b"abc", b"ab"]), duplicate(256, 258));
    // Nothing makes "xyz", so only the list of such tokens knows it.
    assert_eq!(with(&[b"xyz", b"ab", b"xyz"]), duplicate(256, 258));
    assert_eq!(Vocab::new(&bytes[1..]).err(), Some(Error::MissingByte(0)));
    let many = vec![b""; MAX_TOKENS + 1];
    assert_eq!(
        Vocab::new(&many).err(),
        Some(Error::TooManyTokens(MAX_TOKENS + 1))
    );
}
