//! Splitting text into words: merges never cross a word's border.
//!
//! Three well-known patterns have splitters written by hand, some thirty times as fast as a regex
//! engine and linear in the text; they are recognised by their exact text. Every other pattern
//! runs on the engine that tiktoken uses. Which characters are letters, numbers and white space
//! is taken from the tables of that engine: Unicode 16.0, with regex-syntax 0.8.11.

mod class;
mod cut;
mod pattern;
mod scalar;
mod window;

#[cfg(test)]
mod tests;

use fancy_regex::Regex;

use crate::error::Error;
use class::Classes;
pub use pattern::{GPT2_PATTERN, GPT4_PATTERN, LAB_PATTERN};
use pattern::{Known, recognise};
use scalar::{Gpt2, Gpt4};

/// A split pattern, ready for use. Give each thread its own: a regex engine's scratch space is
/// contended.
pub struct Splitter {
    engine: Engine,
}

enum Engine {
    Lab(Gpt4<2>),
    Gpt4(Gpt4<3>),
    Gpt2(Gpt2),
    Regex(Box<Regex>),
}

impl Splitter {
    /// Recognises `pattern`, or compiles it.
    ///
    /// # Errors
    /// `Error::Pattern` when it does not compile.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let Some(known) = recognise(pattern) else {
            return Self::from_regex(pattern);
        };
        let classes = Classes::get()?;
        let engine = match known {
            Known::Lab => Engine::Lab(Gpt4::new(classes, false)),
            Known::Gpt4 { ends_whole } => Engine::Gpt4(Gpt4::new(classes, ends_whole)),
            Known::Gpt2 => Engine::Gpt2(Gpt2::new(classes)),
        };
        Ok(Self { engine })
    }

    fn from_regex(pattern: &str) -> Result<Self, Error> {
        match Regex::new(pattern) {
            Ok(regex) => Ok(Self {
                engine: Engine::Regex(Box::new(regex)),
            }),
            Err(error) => Err(Error::Pattern(error.to_string())),
        }
    }

    /// Whether the pattern is one of those with a splitter of their own.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self.engine, Engine::Regex(_))
    }

    /// Calls `visit` with every word of `text`, in order; what the pattern skips is dropped.
    ///
    /// # Errors
    /// `Error::Split` when the regex engine exceeds its backtracking limits.
    pub fn for_each<'t>(&self, text: &'t str, mut visit: impl FnMut(&'t str)) -> Result<(), Error> {
        self.for_each_span(text, |start, end| {
            // Words end where characters do, so there is always a word to visit.
            if let Some(word) = text.get(start..end) {
                visit(word);
            }
            true
        })
    }

    /// Calls `visit` with the first byte and the end of every word of `text`, in order.
    ///
    /// What `visit` returns says whether to go on. A known pattern does not ask: it is fast enough
    /// to be stopped between the `pieces` of a text.
    ///
    /// # Errors
    /// `Error::Split` when the regex engine exceeds its backtracking limits.
    pub fn for_each_span(
        &self,
        text: &str,
        mut visit: impl FnMut(usize, usize) -> bool,
    ) -> Result<(), Error> {
        let bytes = text.as_bytes();
        match &self.engine {
            Engine::Lab(rules) => window::walk(rules, bytes, &mut |start, end| {
                visit(start, end);
            }),
            Engine::Gpt4(rules) => window::walk(rules, bytes, &mut |start, end| {
                visit(start, end);
            }),
            Engine::Gpt2(rules) => window::walk(rules, bytes, &mut |start, end| {
                visit(start, end);
            }),
            Engine::Regex(regex) => return walk_regex(regex, text, visit),
        }
        Ok(())
    }

    /// Cuts a text into pieces of about `max_bytes` whose words are the words of the text.
    ///
    /// A piece is longer where no place is sure to be a word's start, be it that one run of
    /// characters goes on and on, or that the pattern is not a known one.
    pub fn pieces<'t>(&self, text: &'t str, max_bytes: usize) -> impl Iterator<Item = &'t str> {
        let cuts = match &self.engine {
            Engine::Lab(rules) => Some(rules.cuts()),
            Engine::Gpt4(rules) => Some(rules.cuts()),
            Engine::Gpt2(rules) => Some(rules.cuts()),
            Engine::Regex(_) => None,
        };
        let mut rest = text;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end = match &cuts {
                Some(cuts) if rest.len() > max_bytes => cuts.find(rest.as_bytes(), max_bytes),
                _ => rest.len(),
            };
            // A cut is never inside a character, so the split cannot fail.
            let (piece, others) = rest.split_at_checked(end).unwrap_or((rest, ""));
            rest = others;
            Some(piece)
        })
    }
}

fn walk_regex(
    regex: &Regex,
    text: &str,
    mut visit: impl FnMut(usize, usize) -> bool,
) -> Result<(), Error> {
    for found in regex.find_iter(text) {
        match found {
            // An empty match holds no bytes to merge.
            Ok(word) if word.as_str().is_empty() => {}
            Ok(word) => {
                if !visit(word.start(), word.end()) {
                    break;
                }
            }
            Err(error) => {
                let num_bytes = text.len();
                let reason = error.to_string();
                return Err(Error::Split { num_bytes, reason });
            }
        }
    }
    Ok(())
}
