//! Words as integers, and their hashes.

/// The longest word that is an integer, in bytes.
pub(super) const MAX_SHORT: usize = 15;

// Any two odd numbers with no pattern in their bits do.
const FIRST: u64 = 0x9E37_79B9_7F4A_7C15;
const SECOND: u64 = 0xD6E8_FEB8_6659_FD93;

/// Keeps the first bytes of a little-endian integer.
const KEEP: [u128; MAX_SHORT + 1] = {
    let mut masks = [0; MAX_SHORT + 1];
    let mut len = 1;
    while len <= MAX_SHORT {
        masks[len] = (1 << (8 * len)) - 1;
        len += 1;
    }
    masks
};

/// A word of 1 to 15 bytes as an integer that is never 0: its bytes from the low end, its length
/// in the highest byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(u128);

impl Key {
    /// No word.
    pub const EMPTY: Self = Self(0);

    /// Reads the word `text[start..end]`, if it is short.
    #[inline]
    pub fn new(text: &[u8], start: usize, end: usize) -> Option<Self> {
        let len = end - start;
        let &keep = KEEP.get(len)?;
        let tail = &text[start..];
        // Reading past the word and masking is far cheaper than copying by its length.
        let bytes = tail.first_chunk::<16>().copied().unwrap_or_else(|| {
            let mut bytes = [0; 16];
            bytes[..tail.len()].copy_from_slice(tail);
            bytes
        });
        Some(Self(
            u128::from_le_bytes(bytes) & keep | (len as u128) << 120,
        ))
    }

    #[inline]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    #[inline]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// A hash whose high bits are the good ones.
    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    pub fn hash(self) -> u64 {
        fold(self.0 as u64 ^ FIRST, (self.0 >> 64) as u64 ^ SECOND)
    }
}

/// A hash of a long word.
pub(super) fn hash_long(word: &[u8]) -> u64 {
    let mut hash = fold(word.len() as u64 ^ FIRST, SECOND);
    let mut mix = |part: &[u8; 16]| {
        let key = u128::from_le_bytes(*part);
        #[allow(clippy::cast_possible_truncation)]
        let (low, high) = (key as u64, (key >> 64) as u64);
        hash = fold(low ^ hash, high ^ SECOND);
    };
    let (parts, _) = word.as_chunks::<16>();
    parts.iter().for_each(&mut mix);
    if let Some(last) = word.last_chunk::<16>() {
        mix(last);
    }
    hash
}

/// Both halves of a product, which depend on all the bits of both factors.
#[inline]
#[allow(clippy::cast_possible_truncation)]
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product >> 64) as u64 ^ product as u64
}

/// Maps a hash to a place below `len` in such a way that larger hashes come later.
#[inline]
#[allow(clippy::cast_possible_truncation)]
pub(super) fn place(hash: u64, len: usize) -> usize {
    ((u128::from(hash) * len as u128) >> 64) as usize
}
