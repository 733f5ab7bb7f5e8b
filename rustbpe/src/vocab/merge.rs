//! Merging the bytes of one piece: the lowest rank first, the leftmost among equals.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Vocab;
use super::pairs::{BORDER, NONE, Rank};
use super::queue::{Buckets, Heap, Queue};
use crate::error::Error;

/// Longest piece whose parts, and a border on both sides, are tracked in one machine word.
const SHORT: usize = 62;
/// From here on every rank has a queue of its own: a single heap falls out of the caches.
const HUGE: usize = 1 << 14;
/// Steps through a long piece between two looks at the stop flag.
const STEPS_PER_LOOK: usize = 1 << 12;
/// Bits of a position below 64.
const POSITION_BITS: u32 = 6;

/// Appends the ids of `piece`, which is not empty, to `out`.
///
/// # Errors
/// `Error::Stopped` when `stop` was raised meanwhile.
pub(super) fn merge(
    vocab: &Vocab,
    piece: &[u8],
    out: &mut Vec<Rank>,
    stop: &AtomicBool,
) -> Result<(), Error> {
    match piece.len() {
        0..=6 => merge_short::<8>(vocab, piece, out),
        7..=14 => merge_short::<16>(vocab, piece, out),
        15..=30 => merge_short::<32>(vocab, piece, out),
        31..=SHORT => merge_short::<64>(vocab, piece, out),
        // A bucket holds 32-bit positions.
        HUGE..=0xFFFF_FFFF => return merge_long::<Buckets>(vocab, piece, out, stop),
        _ => return merge_long::<Heap>(vocab, piece, out, stop),
    }
    Ok(())
}

/// Finds the next merge by looking at all of them.
///
/// It is written without branches that depend on the text: a mispredicted one costs as much as a
/// merge. For that, there is a border that merges with nothing on both sides of the piece.
pub(super) fn merge_short<const LANES: usize>(vocab: &Vocab, piece: &[u8], out: &mut Vec<Rank>) {
    let mut ids = [BORDER; LANES];
    // What a part makes with its right neighbour, and the part's position: the smallest goes first.
    let mut keys = [key(NONE, 0); LANES];
    for (id, byte) in ids[1..].iter_mut().zip(piece) {
        *id = vocab.byte(*byte);
    }
    for ((at, two), slot) in (1..).zip(piece.windows(2)).zip(&mut keys[1..]) {
        *slot = key(vocab.byte_pair(two[0], two[1]), at);
    }
    let mut starts = u64::MAX >> (SHORT - piece.len());
    loop {
        let (made, at) = unpack(smallest(&keys));
        if made == NONE {
            break;
        }
        let at = at & (LANES - 1);
        let after = starts & (u64::MAX << at << 1);
        let mid = after.trailing_zeros() as usize & (LANES - 1);
        let after = after & (after - 1);
        let next = after.trailing_zeros() as usize & (LANES - 1);
        let before = starts & ((1 << at) - 1);
        let last = before.ilog2() as usize & (LANES - 1);
        starts &= !(1 << mid);
        keys[mid] = key(NONE, 0);
        ids[at] = made;
        keys[at] = key(vocab.pair(made, ids[next]), at);
        keys[last] = key(vocab.pair(ids[last], made), last);
    }
    let mut rest = starts & (starts - 1);
    while rest & (rest - 1) != 0 {
        out.push(ids[rest.trailing_zeros() as usize & (LANES - 1)]);
        rest &= rest - 1;
    }
}

#[inline]
fn key(made: Rank, at: usize) -> u64 {
    u64::from(made) << POSITION_BITS | at as u64
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "put together by `key`")]
fn unpack(key: u64) -> (Rank, usize) {
    let at = key & ((1 << POSITION_BITS) - 1);
    ((key >> POSITION_BITS) as Rank, at as usize)
}

/// Four at a time, not one after the other. In 64 bits: a vector read has to wait for single writes.
#[inline]
fn smallest<const LANES: usize>(keys: &[u64; LANES]) -> u64 {
    let mut best = [u64::MAX; 4];
    for four in keys.chunks_exact(4) {
        for (best, key) in best.iter_mut().zip(four) {
            *best = (*best).min(*key);
        }
    }
    best[0].min(best[1]).min(best[2].min(best[3]))
}

pub(super) fn merge_long<Q: Queue>(
    vocab: &Vocab,
    piece: &[u8],
    out: &mut Vec<Rank>,
    stop: &AtomicBool,
) -> Result<(), Error> {
    let mut parts = Parts::new(vocab, piece.len());
    let mut queue = Q::default();
    let mut last = None;
    for (at, byte) in piece.iter().enumerate() {
        look(at, stop)?;
        parts.push(*byte);
        if let Some(last) = last.replace(*byte) {
            queue.push(vocab.byte_pair(last, *byte), at - 1);
        }
    }
    let mut num_steps = 0;
    while let Some((made, at)) = queue.pop() {
        look(num_steps, stop)?;
        num_steps += 1;
        let Some(end) = parts.join(made, at) else {
            continue;
        };
        if let Some((left, start)) = parts.ending_at(at) {
            queue.push(vocab.pair(left, made), start);
        }
        if let Some(right) = parts.starting_at(end) {
            queue.push(vocab.pair(made, right), at);
        }
    }
    parts.append_to(out);
    Ok(())
}

/// Returns an error in some steps, when asked to stop.
#[inline]
fn look(num_steps: usize, stop: &AtomicBool) -> Result<(), Error> {
    if num_steps.is_multiple_of(STEPS_PER_LOOK) && stop.load(Ordering::Relaxed) {
        return Err(Error::Stopped);
    }
    Ok(())
}

/// The parts of a long piece, in five bytes for every byte of it.
struct Parts<'v> {
    vocab: &'v Vocab,
    /// The id of a part at its first and at its last byte.
    ids: Vec<Rank>,
    is_start: Vec<bool>,
}

impl<'v> Parts<'v> {
    fn new(vocab: &'v Vocab, num_bytes: usize) -> Self {
        Self {
            vocab,
            ids: Vec::with_capacity(num_bytes),
            is_start: Vec::with_capacity(num_bytes),
        }
    }

    fn push(&mut self, byte: u8) {
        self.ids.push(self.vocab.byte(byte));
        self.is_start.push(true);
    }

    /// Makes `made` of the two parts at `at` and returns its end, unless they have changed since.
    ///
    /// The bytes never change: two parts as long as `made` together are still what makes it.
    fn join(&mut self, made: Rank, at: usize) -> Option<usize> {
        let mid = at + self.len(self.starting_at(at)?);
        let end = at + self.len(made);
        if mid >= end || mid + self.len(self.starting_at(mid)?) != end {
            return None;
        }
        self.is_start[mid] = false;
        self.ids[at] = made;
        self.ids[end - 1] = made;
        Some(end)
    }

    fn starting_at(&self, at: usize) -> Option<Rank> {
        let is_start = *self.is_start.get(at)?;
        is_start.then(|| self.ids[at])
    }

    /// Returns the part before `end` and where it starts.
    fn ending_at(&self, end: usize) -> Option<(Rank, usize)> {
        let id = self.ids[end.checked_sub(1)?];
        Some((id, end - self.len(id)))
    }

    fn len(&self, id: Rank) -> usize {
        self.vocab.lens[id as usize]
    }

    fn append_to(&self, out: &mut Vec<Rank>) {
        let mut at = 0;
        while let Some(id) = self.starting_at(at) {
            out.push(id);
            at += self.len(id);
        }
    }
}
