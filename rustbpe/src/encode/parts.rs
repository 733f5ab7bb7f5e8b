//! Documents in parts that can be encoded on their own, dealt out by bytes and in order.

use std::num::NonZeroUsize;

use crate::split::Splitter;

/// Smaller work is not worth dealing out.
const MIN_DEAL_BYTES: usize = 64 << 10;
/// The splitter of a known pattern cannot be stopped on its way through a part.
const MAX_PART_BYTES: usize = 16 << 20;
/// Deals per thread, so that a slow one is not waited for.
const DEALS_PER_THREAD: usize = 8;

/// A document, or what comes between two cuts that change no word.
#[derive(Clone, Copy)]
pub(super) struct Part<'d> {
    pub(super) text: &'d str,
    /// Whether a document starts here.
    pub(super) is_start: bool,
}

/// Parts that one thread encodes at a time.
#[derive(Clone, Copy)]
pub(super) struct Deal<'p, 'd> {
    pub(super) index: usize,
    pub(super) parts: &'p [Part<'d>],
    pub(super) num_bytes: usize,
}

/// Returns the documents in order, the largest of them cut where that changes no word.
pub(super) fn parts<'d, S: AsRef<str>>(
    docs: &'d [S],
    splitter: &Splitter,
    num_threads: NonZeroUsize,
) -> Vec<Part<'d>> {
    let num_bytes = docs.iter().map(|doc| doc.as_ref().len()).sum();
    let max_bytes = deal_bytes(num_bytes, num_threads).min(MAX_PART_BYTES);
    let mut parts = Vec::with_capacity(docs.len());
    for text in docs.iter().map(AsRef::as_ref) {
        let mut is_start = true;
        if text.len() > max_bytes {
            for text in splitter.pieces(text, max_bytes) {
                parts.push(Part { text, is_start });
                is_start = false;
            }
        } else {
            parts.push(Part { text, is_start });
        }
    }
    parts
}

/// Deals out parts in order. One thread gets all at once: its ids need not be copied together.
pub(super) fn deal<'p, 'd>(parts: &'p [Part<'d>], num_threads: NonZeroUsize) -> Vec<Deal<'p, 'd>> {
    let num_bytes = parts.iter().map(|part| part.text.len()).sum();
    let max_bytes = match num_threads {
        NonZeroUsize::MIN => usize::MAX,
        _ => deal_bytes(num_bytes, num_threads),
    };
    let mut deals = Vec::new();
    let mut start = 0;
    let mut num_bytes = 0;
    for (end, part) in (1..).zip(parts) {
        num_bytes += part.text.len();
        if num_bytes >= max_bytes || end == parts.len() {
            let index = deals.len();
            let parts = &parts[start..end];
            deals.push(Deal {
                index,
                parts,
                num_bytes,
            });
            start = end;
            num_bytes = 0;
        }
    }
    deals
}

fn deal_bytes(num_bytes: usize, num_threads: NonZeroUsize) -> usize {
    (num_bytes / (num_threads.get() * DEALS_PER_THREAD)).max(MIN_DEAL_BYTES)
}

impl Deal<'_, '_> {
    /// Whether it takes a moment at most, even through a slow pattern.
    pub(super) fn is_small(&self) -> bool {
        self.num_bytes < MIN_DEAL_BYTES
    }
}
