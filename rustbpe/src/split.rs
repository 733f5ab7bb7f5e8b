//! Splitting text into words: merges never cross a word's border.

use fancy_regex::Regex;

use crate::error::Error;

/// A compiled split pattern. Give each thread its own: the engine's scratch space is contended.
pub struct Splitter {
    regex: Regex,
}

impl Splitter {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// `Error::Pattern` when it does not compile.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        match Regex::new(pattern) {
            Ok(regex) => Ok(Self { regex }),
            Err(error) => Err(Error::Pattern(error.to_string())),
        }
    }

    /// Calls `visit` with every word of `text`, in order; what the pattern skips is dropped.
    ///
    /// # Errors
    /// `Error::Split` when the engine exceeds its backtracking limits.
    pub fn for_each<'t>(&self, text: &'t str, mut visit: impl FnMut(&'t str)) -> Result<(), Error> {
        for found in self.regex.find_iter(text) {
            match found {
                // An empty match holds no bytes to merge.
                Ok(word) if word.as_str().is_empty() => {}
                Ok(word) => visit(word.as_str()),
                Err(error) => {
                    let num_bytes = text.len();
                    let reason = error.to_string();
                    return Err(Error::Split { num_bytes, reason });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) const PATTERN: &str = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        let splitter = Splitter::new(PATTERN).unwrap();
        splitter.for_each(text, |word| words.push(word)).unwrap();
        words
    }

    #[test]
    fn words_carry_their_leading_space_and_digits_come_in_twos() {
        assert_eq!(
            words("It's 2025,  ok?\r\n\n x"),
            [
                "It", "'s", " ", "20", "25", ",", " ", " ok", "?\r\n\n", " x"
            ]
        );
    }

    #[test]
    fn words_cover_the_whole_text() {
        let text = " \u{85}\u{3000}a\u{17f}'\u{17f} \t\r\nß9٣Ⅷ字 字🙂\u{301}  ";
        assert_eq!(words(text).concat(), text);
    }

    #[test]
    fn a_bad_pattern_is_an_error() {
        assert!(matches!(Splitter::new("("), Err(Error::Pattern(_))));
    }

    #[test]
    fn a_runaway_text_is_an_error() {
        let splitter = Splitter::new(PATTERN).unwrap();
        let found = splitter.for_each(&" ".repeat(3_000_000), |_| {});
        assert!(matches!(found, Err(Error::Split { .. })));
    }
}
