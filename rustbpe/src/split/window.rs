//! The known patterns on 64 bytes at a time: one bit per byte and class, and the starts of words
//! found by shifting and masking. Branches that nobody can predict are what splitting costs.

use super::scalar::{Gpt2, Gpt4, Rules, contraction_end};

/// Bytes in a window: one bit each.
const WINDOW: usize = 64;

/// Which bytes of a window are of which class; bit 0 is the first byte. A window stops short of
/// the first byte that is not ASCII.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Masks {
    num_bytes: u32,
    letter: u64,
    number: u64,
    newline: u64,
    space: u64,
    /// White space that is neither a space nor a line break.
    white: u64,
    other: u64,
    apostrophe: u64,
}

/// Rules that can also be applied to a window.
pub(super) trait WindowRules: Rules {
    /// Returns the starts of words in a window that begins with a word, as far as they are sure
    /// whatever text follows.
    fn starts(masks: &Masks, window: &[u8; WINDOW]) -> u64;
}

/// Calls `visit` with the first byte and the end of every word.
#[inline]
pub(super) fn walk<R: WindowRules>(rules: &R, text: &[u8], visit: &mut impl FnMut(usize, usize)) {
    let mut start = 0;
    while start < text.len() {
        let window = text[start..].first_chunk::<WINDOW>();
        if let Some(window) = window.filter(|window| window[0] < 0x80 && window[1] < 0x80) {
            let masks = Masks::of(window);
            let mut ends = R::starts(&masks, window) & !1;
            if ends != 0 {
                let base = start;
                while ends != 0 {
                    let end = base + ends.trailing_zeros() as usize;
                    visit(start, end);
                    start = end;
                    ends &= ends - 1;
                }
                continue;
            }
        }
        let end = rules.end(text, start);
        visit(start, end);
        start = end;
    }
}

impl<const DIGITS: u32> WindowRules for Gpt4<DIGITS> {
    #[inline]
    fn starts(masks: &Masks, window: &[u8; WINDOW]) -> u64 {
        let &Masks {
            letter,
            number,
            newline,
            space,
            white,
            other,
            ..
        } = masks;
        let blank = space | white;
        let first_other = other & !(other << 1) & !(space << 1);
        // A blank joins the letters behind it, and so does a single other that starts a word.
        let first_letter = letter & !((letter | blank | first_other) << 1);
        // Line breaks right behind others belong to their word: adding carries through the run.
        let run = newline & (other << 1);
        let joined = newline & !newline.wrapping_add(run);
        let run = (blank | newline) & !joined;
        let first_white = run & !(run << 1);
        // The last blank of a run is left for what follows.
        let last_blank = blank & !((blank | newline) >> 1);
        let mut starts = first_letter
            | first_other
            | first_white
            | last_blank
            | groups::<DIGITS>(number)
            | indents(blank, newline);
        for at in bits(masks.apostrophe & first_other & (letter >> 1)) {
            if let Some(end) = contraction_end(window, at, true) {
                starts |= bit(end) & letter;
            }
        }
        starts & (low_bits(masks.sure(blank | newline)) | first_white)
    }
}

impl WindowRules for Gpt2 {
    #[inline]
    fn starts(masks: &Masks, window: &[u8; WINDOW]) -> u64 {
        let &Masks {
            letter,
            number,
            space,
            other,
            ..
        } = masks;
        let white = space | masks.white | masks.newline;
        // A space joins the run behind it.
        let first = |class: u64| class & !((class | space) << 1);
        let first_other = first(other);
        let first_white = white & !(white << 1);
        let last_white = white & !(white >> 1);
        let mut starts = first(letter) | first(number) | first_other | first_white | last_white;
        let mut sure = masks.sure(white);
        for at in bits(masks.apostrophe & first_other & (letter >> 1)) {
            if at + 3 > masks.num_bytes as usize {
                // Whether this is a contraction can depend on the byte behind the window.
                sure = sure.min(at + 1);
            } else if let Some(end) = contraction_end(window, at, false) {
                starts &= !bit(at + 1);
                starts |= bit(end) & letter;
            }
        }
        let sure = low_bits(sure);
        starts & (sure | (first_white & low_bits(masks.num_bytes as usize)))
    }
}

/// The starts of numbers in groups of `DIGITS`.
#[inline]
fn groups<const DIGITS: u32>(number: u64) -> u64 {
    let mut group = number & !(number << 1);
    let mut starts = group;
    // Bytes with at least a group's worth of digits before them in their run.
    let mut later = number;
    for shift in 1..=DIGITS {
        later &= number << shift;
    }
    while later != 0 && group != 0 {
        group = (group << DIGITS) & later;
        starts |= group;
    }
    starts
}

/// The starts of blanks behind a line break, unless a line break follows them: white space up to
/// its last line break is one word.
#[inline]
fn indents(blank: u64, newline: u64) -> u64 {
    let mut starts = 0;
    for at in bits(blank & (newline << 1)) {
        let end = at + (blank >> at).trailing_ones() as usize;
        if bit(end) & newline == 0 {
            starts |= bit(at);
        }
    }
    starts
}

/// The positions of the bits that are set.
#[inline]
fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if mask == 0 {
            return None;
        }
        let at = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        Some(at)
    })
}

/// The bit at a position, if there is one.
#[inline]
fn bit(at: usize) -> u64 {
    if at < WINDOW { 1 << at } else { 0 }
}

/// The bits below a position.
#[inline]
fn low_bits(end: usize) -> u64 {
    if end < WINDOW {
        (1 << end) - 1
    } else {
        u64::MAX
    }
}

impl Masks {
    /// Where the white space at the window's end starts: how it is split depends on what follows.
    #[inline]
    fn sure(&self, white: u64) -> usize {
        let Some(unused) = 64_u32.checked_sub(self.num_bytes) else {
            return 0;
        };
        let run = white.checked_shl(unused).unwrap_or(0).leading_ones();
        self.num_bytes.saturating_sub(run) as usize
    }

    #[inline]
    fn new(non_ascii: u64, found: &Found) -> Self {
        let num_bytes = non_ascii.trailing_zeros();
        let valid = low_bits(num_bytes as usize);
        let newline = found.newline & valid;
        let space = found.space & valid;
        let letter = found.letter & valid;
        let number = found.number & valid;
        let control = found.control & valid;
        Self {
            num_bytes,
            letter,
            number,
            newline,
            space,
            white: control & !newline,
            other: valid & !(letter | number | space | control),
            apostrophe: found.apostrophe & valid,
        }
    }
}

/// What the comparisons of a window's bytes found.
#[derive(Default)]
struct Found {
    letter: u64,
    number: u64,
    newline: u64,
    space: u64,
    /// U+0009 to U+000D
    control: u64,
    apostrophe: u64,
}

#[cfg(target_arch = "x86_64")]
impl Masks {
    #[inline]
    #[allow(unsafe_code)]
    pub fn of(window: &[u8; WINDOW]) -> Self {
        // SAFETY: SSE2 is all that `of_sse2` asks for, and every x86-64 processor has it.
        unsafe { Self::of_sse2(window) }
    }

    /// Classifies 16 bytes at a time.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn of_sse2(window: &[u8; WINDOW]) -> Self {
        use std::arch::x86_64::{
            __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128,
            _mm_set_epi64x, _mm_set1_epi8,
        };
        let is =
            |bytes: __m128i, byte: u8| _mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte.cast_signed()));
        // Comparisons are signed: move `first` down to the least value.
        let is_in = |bytes: __m128i, first: u8, len: u8| {
            let moved = _mm_add_epi8(bytes, _mm_set1_epi8((128 - first).cast_signed()));
            _mm_cmplt_epi8(moved, _mm_set1_epi8((128 + len).cast_signed()))
        };
        let mask = |bytes: __m128i| u64::from(_mm_movemask_epi8(bytes).cast_unsigned());
        let mut non_ascii = 0;
        let mut found = Found::default();
        for (index, half) in window.as_chunks::<16>().0.iter().enumerate() {
            let both = i128::from_le_bytes(*half);
            #[allow(clippy::cast_possible_truncation)]
            let bytes = _mm_set_epi64x((both >> 64) as i64, both as i64);
            let lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
            let shift = 16 * index;
            non_ascii |= mask(bytes) << shift;
            found.letter |= mask(is_in(lower, b'a', 26)) << shift;
            found.number |= mask(is_in(bytes, b'0', 10)) << shift;
            found.newline |= mask(_mm_or_si128(is(bytes, b'\n'), is(bytes, b'\r'))) << shift;
            found.space |= mask(is(bytes, b' ')) << shift;
            found.control |= mask(is_in(bytes, b'\t', 5)) << shift;
            found.apostrophe |= mask(is(bytes, b'\'')) << shift;
        }
        Self::new(non_ascii, &found)
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Masks {
    #[inline]
    pub fn of(window: &[u8; WINDOW]) -> Self {
        Self::of_any(window)
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
impl Masks {
    /// Classifies eight bytes at a time in plain integers.
    #[inline]
    pub fn of_any(window: &[u8; WINDOW]) -> Self {
        const ONES: u64 = u64::MAX / 255;
        const HIGH: u64 = ONES << 7;
        // Bytes below 128 that are at least `first`, by their high bits.
        let from = |bytes: u64, first: u64| (bytes + ONES * (128 - first)) & HIGH;
        let is_in =
            |bytes: u64, first: u64, len: u64| from(bytes, first) & !from(bytes, first + len);
        // One factor moves the eight high bits into the top byte without any carry.
        let mask = |high: u64| (high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        let mut non_ascii = 0;
        let mut found = Found::default();
        for (index, eight) in window.as_chunks::<8>().0.iter().enumerate() {
            let bytes = u64::from_le_bytes(*eight);
            let shift = 8 * index;
            non_ascii |= mask(bytes & HIGH) << shift;
            let bytes = bytes & !HIGH;
            let is = |byte: u8| is_in(bytes, u64::from(byte), 1);
            found.letter |= mask(is_in(bytes | (ONES * 0x20), u64::from(b'a'), 26)) << shift;
            found.number |= mask(is_in(bytes, u64::from(b'0'), 10)) << shift;
            found.newline |= mask(is(b'\n') | is(b'\r')) << shift;
            found.space |= mask(is(b' ')) << shift;
            found.control |= mask(is_in(bytes, u64::from(b'\t'), 5)) << shift;
            found.apostrophe |= mask(is(b'\'')) << shift;
        }
        Self::new(non_ascii, &found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_classify_agree_on_every_byte_in_every_place() {
        for byte in 0..=255 {
            for at in 0..WINDOW {
                let text = "It's 20 o'clock,\tand\r\n\x0b\x0c'All' is well!??  [@`{/:]\n  abc12345.-_.........";
                let mut window = *text.as_bytes().first_chunk::<WINDOW>().unwrap();
                window[at] = byte;
                assert_eq!(Masks::of(&window), Masks::of_any(&window));
            }
        }
    }
}
