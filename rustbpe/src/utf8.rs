//! Bytes that should be UTF-8.

use std::borrow::Cow;

use crate::error::Error;

/// Returns the text.
///
/// # Errors
/// `Error::Utf8` with the first byte that cannot be read; `row` tells which text it was.
pub fn check(bytes: &[u8], row: Option<usize>) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|error| Error::Utf8 {
        row,
        offset: error.valid_up_to(),
    })
}

/// Returns the text with U+FFFD for what cannot be read, and how many there are.
///
/// One stands for the longest start of a character, as in Python's decoder.
#[must_use]
pub fn repair(bytes: &[u8]) -> (Cow<'_, str>, u64) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (text.into(), 0);
    }
    let mut text = String::with_capacity(bytes.len());
    let mut num_replaced = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            num_replaced += 1;
        }
    }
    (text.into(), num_replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_byte_is_named() {
        let found = check(b"ab\xc3\xa9\xff", Some(3));
        let expected = Error::Utf8 {
            row: Some(3),
            offset: 4,
        };
        assert_eq!(found, Err(expected));
    }

    #[test]
    fn what_cannot_be_read_is_replaced_and_counted() {
        let (text, num_replaced) = repair(b"a\xff\xf0\x9f\x99b\xc3");
        assert_eq!(text, "a\u{fffd}\u{fffd}b\u{fffd}");
        assert_eq!(num_replaced, 3);
        assert_eq!(repair(b"fine"), ("fine".into(), 0));
    }
}
