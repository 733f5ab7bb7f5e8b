//! Places in a long text where a word of a known pattern is sure to start.

use super::class::{Class, Classes, STRIDE, is_start, num_repeats};

/// How far back from the wanted place to look before looking ahead.
const BACK: usize = 4096;

/// Decides by the characters on both sides of a place.
pub(super) struct Cuts {
    classes: &'static Classes,
    is_gpt4: bool,
}

impl Cuts {
    pub fn new(classes: &'static Classes, is_gpt4: bool) -> Self {
        Self { classes, is_gpt4 }
    }

    /// Returns the last cut at or shortly before `wanted`, else the first one behind it, else the
    /// end of the text; never 0.
    pub fn find(&self, text: &[u8], wanted: usize) -> usize {
        let wanted = wanted.max(1);
        let back = wanted.saturating_sub(BACK).max(1)..=wanted.min(text.len());
        if let Some(cut) = back.rev().find(|&at| self.is_cut(text, at)) {
            return cut;
        }
        self.find_ahead(text, wanted)
    }

    fn find_ahead(&self, text: &[u8], wanted: usize) -> usize {
        let ahead = (wanted..text.len()).find(|&at| is_start(text, at));
        let mut at = ahead.unwrap_or(text.len());
        let mut before = self.classes.before(text, at);
        let mut num_steps = 0;
        while let Some((after, end)) = self.classes.at(text, at) {
            if before.is_some_and(|before| self.parts(before, after)) {
                break;
            }
            before = Some(after);
            at = end;
            num_steps += 1;
            if num_steps % STRIDE == 0 {
                // Two equal characters are never cut apart.
                at += num_repeats(text, at);
            }
        }
        at
    }

    fn is_cut(&self, text: &[u8], at: usize) -> bool {
        let before = self.classes.before(text, at);
        let after = self.classes.at(text, at);
        is_start(text, at)
            && before
                .zip(after)
                .is_some_and(|(before, (after, _))| self.parts(before, after))
    }

    /// Whether cutting between two characters changes no word.
    ///
    /// That takes two things. A word must start there: no alternative of the pattern goes on from
    /// the one character to the other. And the words before must not change when the text ends
    /// there: only white space looks ahead, so the character before must be none, except after a
    /// line break in GPT-4's pattern, which ends a word whatever follows.
    fn parts(&self, before: Class, after: Class) -> bool {
        match before {
            Class::Letter | Class::Number => before != after,
            // A letter joins the single character before it, and GPT-4's line breaks join too.
            Class::Other => {
                after == Class::Number || after == Class::Space || after == Class::White
            }
            Class::Newline => self.is_gpt4 && !after.is_white(),
            Class::Space | Class::White => false,
        }
    }
}
