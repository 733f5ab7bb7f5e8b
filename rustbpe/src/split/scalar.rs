//! The known patterns, one word at a time: the whole truth about each, and the slow path.

use super::class::{Class, Classes, STRIDE, num_repeats};
use super::cut::Cuts;

/// Where the words of a pattern end and start.
///
/// A pattern looks ahead but never back, so a word depends only on the text from its start on.
pub(super) trait Rules {
    /// Returns the end of the word that starts at `start`, which is before the text's end.
    fn end(&self, text: &[u8], start: usize) -> usize;
}

/// GPT-4's pattern with groups of up to `DIGITS` digits.
pub(super) struct Gpt4<const DIGITS: u32> {
    classes: &'static Classes,
    ends_whole: bool,
}

/// GPT-2's pattern.
pub(super) struct Gpt2 {
    classes: &'static Classes,
}

impl<const DIGITS: u32> Gpt4<DIGITS> {
    /// `ends_whole`: white space at the end of the text is one word, line breaks or not.
    pub fn new(classes: &'static Classes, ends_whole: bool) -> Self {
        Self {
            classes,
            ends_whole,
        }
    }

    pub fn cuts(&self) -> Cuts {
        Cuts::new(self.classes, true)
    }

    fn white_end(&self, text: &[u8], start: usize) -> usize {
        let run = White::run(self.classes, text, start);
        match run.newline_end {
            Some(end) if !(self.ends_whole && run.end == text.len()) => end,
            _ => run.without_last(text, start),
        }
    }

    /// The end of ` ?[^\s\p{L}\p{N}]++[\r\n]*`, the first of the class being behind `at`.
    fn others_end(&self, text: &[u8], at: usize) -> usize {
        let end = run_end(self.classes, text, at, Class::Other);
        run_end(self.classes, text, end, Class::Newline)
    }
}

impl<const DIGITS: u32> Rules for Gpt4<DIGITS> {
    fn end(&self, text: &[u8], start: usize) -> usize {
        let classes = self.classes;
        let Some((class, at)) = classes.at(text, start) else {
            return text.len();
        };
        if text[start] == b'\''
            && let Some(end) = contraction_end(text, start, true)
        {
            return end;
        }
        let next = classes.at(text, at).map(|(next, _)| next);
        match (class, next) {
            (Class::Number, _) => {
                let mut end = at;
                for _ in 1..DIGITS {
                    match classes.at(text, end) {
                        Some((Class::Number, next)) => end = next,
                        _ => break,
                    }
                }
                end
            }
            (Class::Letter, _)
            | (Class::Space | Class::White | Class::Other, Some(Class::Letter)) => {
                run_end(classes, text, at, Class::Letter)
            }
            (Class::Other, _) | (Class::Space, Some(Class::Other)) => self.others_end(text, at),
            (Class::Newline | Class::Space | Class::White, _) => self.white_end(text, start),
        }
    }
}

impl Gpt2 {
    pub fn new(classes: &'static Classes) -> Self {
        Self { classes }
    }

    pub fn cuts(&self) -> Cuts {
        Cuts::new(self.classes, false)
    }
}

impl Rules for Gpt2 {
    fn end(&self, text: &[u8], start: usize) -> usize {
        let classes = self.classes;
        let Some((class, at)) = classes.at(text, start) else {
            return text.len();
        };
        if text[start] == b'\''
            && let Some(end) = contraction_end(text, start, false)
        {
            return end;
        }
        if !class.is_white() {
            return run_end(classes, text, at, class);
        }
        match classes.at(text, at) {
            Some((next, at)) if class == Class::Space && !next.is_white() => {
                run_end(classes, text, at, next)
            }
            _ => White::run(classes, text, start).without_last(text, start),
        }
    }
}

/// The end of the characters of `class` from `at` on.
fn run_end(classes: &Classes, text: &[u8], mut at: usize, class: Class) -> usize {
    let mut num_steps = 0;
    while let Some((found, end)) = classes.at(text, at) {
        if found != class {
            break;
        }
        at = end;
        num_steps += 1;
        if num_steps % STRIDE == 0 {
            at += num_repeats(text, at);
        }
    }
    at
}

/// A run of white space.
struct White {
    /// Where its last character starts.
    last: usize,
    end: usize,
    /// The end of its last CR or LF.
    newline_end: Option<usize>,
}

impl White {
    fn run(classes: &Classes, text: &[u8], start: usize) -> Self {
        let mut run = Self {
            last: start,
            end: start,
            newline_end: None,
        };
        let mut num_steps = 0;
        while let Some((class, end)) = classes.at(text, run.end) {
            if !class.is_white() {
                break;
            }
            num_steps += 1;
            let num_more = match num_steps % STRIDE {
                0 => num_repeats(text, end),
                _ => 0,
            };
            run.last = if num_more == 0 {
                run.end
            } else {
                end + num_more - 1
            };
            run.end = end + num_more;
            if class == Class::Newline {
                run.newline_end = Some(run.end);
            }
        }
        run
    }

    /// The end of `\s+(?!\S)|\s`: the last character is left for the word that follows.
    fn without_last(&self, text: &[u8], start: usize) -> usize {
        if self.end == text.len() || self.last == start {
            self.end
        } else {
            self.last
        }
    }
}

/// The end of `'(?:[sdmt]|ll|ve|re)`, the apostrophe being at `start`.
pub(super) fn contraction_end(text: &[u8], start: usize, ignores_case: bool) -> Option<usize> {
    let letter = |at: usize| match text.get(at) {
        Some(letter) if ignores_case => letter.to_ascii_lowercase(),
        Some(letter) => *letter,
        None => 0,
    };
    match (letter(start + 1), letter(start + 2)) {
        (b's' | b'd' | b'm' | b't', _) => Some(start + 2),
        (b'l', b'l') | (b'v' | b'r', b'e') => Some(start + 3),
        // U+017F, the long s, is an s when case does not count.
        (0xC5, 0xBF) if ignores_case => Some(start + 3),
        _ => None,
    }
}
