//! The kinds of characters that the known patterns tell apart.

use std::sync::OnceLock;

use regex_syntax::hir::{Class as HirClass, HirKind};

use crate::error::Error;

/// Code points in a page; pages that are equal are stored once.
const PAGE: usize = 256;
const NUM_PAGES: usize = 0x11_0000 / PAGE;

/// A kind of character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// CR or LF
    Newline,
    /// U+0020
    Space,
    /// The rest of `\s`
    White,
    /// `[^\s\p{L}\p{N}]`
    Other,
}

impl Class {
    /// Whether `\s` matches.
    pub fn is_white(self) -> bool {
        matches!(self, Self::Newline | Self::Space | Self::White)
    }
}

/// The class of every character, in two stages: a page's number, then the place in the page.
pub(super) struct Classes {
    ascii: [Class; 256],
    pages: [u8; NUM_PAGES],
    cells: Vec<[Class; PAGE]>,
}

impl Classes {
    /// Returns the one table, which the first caller builds.
    pub fn get() -> Result<&'static Self, Error> {
        static CLASSES: OnceLock<Result<Classes, Error>> = OnceLock::new();
        CLASSES
            .get_or_init(Self::build)
            .as_ref()
            .map_err(Clone::clone)
    }

    fn build() -> Result<Self, Error> {
        let mut flat = vec![Class::Other; 0x11_0000];
        for (pattern, class) in [
            (r"\p{L}", Class::Letter),
            (r"\p{N}", Class::Number),
            (r"\s", Class::White),
            (" ", Class::Space),
            (r"[\r\n]", Class::Newline),
        ] {
            for (first, last) in ranges(pattern)? {
                flat[first as usize..=last as usize].fill(class);
            }
        }
        let mut ascii = [Class::Other; 256];
        ascii[..128].copy_from_slice(&flat[..128]);
        let mut pages = [0; NUM_PAGES];
        let mut cells: Vec<[Class; PAGE]> = Vec::new();
        for (number, page) in pages.iter_mut().zip(flat.as_chunks::<PAGE>().0) {
            let found = cells.iter().position(|other| other == page);
            let index = found.unwrap_or_else(|| {
                cells.push(*page);
                cells.len() - 1
            });
            *number = u8::try_from(index)
                .map_err(|_| Error::Pattern("too many kinds of Unicode pages".into()))?;
        }
        Ok(Self {
            ascii,
            pages,
            cells,
        })
    }

    /// Returns the class of the character at `at` and its end.
    ///
    /// The bytes should be UTF-8. If they are not, the answer is of no use, but there is one.
    #[inline]
    pub fn at(&self, text: &[u8], at: usize) -> Option<(Class, usize)> {
        let &lead = text.get(at)?;
        if lead < 0x80 {
            Some((self.ascii[lead as usize], at + 1))
        } else {
            let (code, end) = decode(text, at, lead);
            Some((self.of(code), end))
        }
    }

    /// Returns the class of the character that ends at `end`.
    pub fn before(&self, text: &[u8], end: usize) -> Option<Class> {
        let start = (0..end).rev().take(4).find(|&at| is_start(text, at))?;
        Some(self.at(text, start)?.0)
    }

    fn of(&self, code: usize) -> Class {
        let page = self.pages.get(code / PAGE).copied().unwrap_or_default();
        let cells = self.cells.get(page as usize);
        cells.map_or(Class::Other, |cells| cells[code % PAGE])
    }
}

/// Whether a character starts at `at`, or the text ends there.
pub(super) fn is_start(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|byte| byte & 0xC0 != 0x80)
}

/// Characters to walk between two calls of `num_repeats`.
pub(super) const STRIDE: usize = 64;

/// Returns how many times, at least, the ASCII character before `at` is repeated from there on.
///
/// Rules and logos run for megabytes in some texts; comparing bytes skips them in no time.
pub(super) fn num_repeats(text: &[u8], at: usize) -> usize {
    let Some((before, tail)) = text.split_at_checked(at) else {
        return 0;
    };
    let Some(&byte) = before.last().filter(|byte| byte.is_ascii()) else {
        return 0;
    };
    let blocks = tail.as_chunks::<STRIDE>().0.iter();
    let equal = blocks.take_while(|block| **block == [byte; STRIDE]);
    equal.count() * STRIDE
}

#[inline]
fn decode(text: &[u8], at: usize, lead: u8) -> (usize, usize) {
    let part = |offset: usize| {
        text.get(at + offset)
            .map_or(0, |byte| *byte as usize & 0x3F)
    };
    let lead = lead as usize;
    let (code, width) = if lead < 0xE0 {
        ((lead & 0x1F) << 6 | part(1), 2)
    } else if lead < 0xF0 {
        ((lead & 0x0F) << 12 | part(1) << 6 | part(2), 3)
    } else {
        let high = (lead & 0x07) << 18 | part(1) << 12;
        (high | part(2) << 6 | part(3), 4)
    };
    (code, text.len().min(at + width))
}

/// Returns the first and the last character of every range of a character class.
fn ranges(pattern: &str) -> Result<Vec<(char, char)>, Error> {
    let hir = regex_syntax::parse(pattern).map_err(|error| Error::Pattern(error.to_string()))?;
    match hir.kind() {
        HirKind::Class(HirClass::Unicode(class)) => Ok(class
            .iter()
            .map(|range| (range.start(), range.end()))
            .collect()),
        HirKind::Class(HirClass::Bytes(class)) => Ok(class
            .iter()
            .map(|range| (range.start().into(), range.end().into()))
            .collect()),
        HirKind::Literal(literal) => {
            let text = String::from_utf8_lossy(&literal.0);
            Ok(text.chars().map(|one| (one, one)).collect())
        }
        _ => Err(Error::Pattern(format!("{pattern} is no character class"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_of(one: char) -> Class {
        let text = one.to_string();
        let (class, end) = Classes::get().unwrap().at(text.as_bytes(), 0).unwrap();
        assert_eq!(end, text.len());
        class
    }

    #[test]
    fn every_character_has_the_class_that_the_engine_gives_it() {
        let kinds = [
            (r"^\p{L}$", Class::Letter),
            (r"^\p{N}$", Class::Number),
            (r"^[\r\n]$", Class::Newline),
            (r"^ $", Class::Space),
            (r"^[\s--[ \r\n]]$", Class::White),
            (r"^[^\s\p{L}\p{N}]$", Class::Other),
        ]
        .map(|(pattern, class)| (fancy_regex::Regex::new(pattern).unwrap(), class));
        for one in '\0'..=char::MAX {
            let class = class_of(one);
            let (regex, _) = kinds.iter().find(|kind| kind.1 == class).unwrap();
            assert!(regex.is_match(&one.to_string()).unwrap(), "{one:?}");
        }
    }

    #[test]
    fn the_tables_are_of_unicode_16() {
        // Todhri came with Unicode 16.0, Beria Erfe with 17.0.
        assert_eq!(class_of('\u{105C0}'), Class::Letter);
        assert_eq!(class_of('\u{16EA0}'), Class::Other);
    }

    #[test]
    fn bytes_that_are_no_utf8_have_a_class() {
        let classes = Classes::get().unwrap();
        for lead in 0..=255 {
            for text in [&[lead][..], &[lead, 0xFF], &[lead, 0xBF, 0xBF, 0xBF]] {
                let (_, end) = classes.at(text, 0).unwrap();
                assert!((1..=text.len()).contains(&end));
            }
        }
    }
}
