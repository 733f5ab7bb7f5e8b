//! The patterns that have a splitter of their own, in the spellings that are in use.

/// GPT-4's pattern with digits in groups of one or two: the lab's own.
pub const LAB_PATTERN: &str = concat!(
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}",
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
);
/// GPT-4's pattern (cl100k), as it was published and as rustbpe writes it.
pub const GPT4_PATTERN: &str = concat!(
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
);
/// GPT-2's pattern (r50k, p50k), as it was published.
pub const GPT2_PATTERN: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

/// What `\s++$` changes: white space at the end of the text is one word, line breaks or not.
const GPT4_ENDS_WHOLE: [&str; 1] = [concat!(
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+",
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)];
const GPT4: [&str; 2] = [
    GPT4_PATTERN,
    concat!(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
];
const GPT2: [&str; 4] = [
    GPT2_PATTERN,
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    // With or without `\s++$`: `\s+(?!\S)` takes white space at the end whole anyway.
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
];

/// A pattern by what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Lab,
    Gpt4 { ends_whole: bool },
    Gpt2,
}

/// Returns which known pattern this is; any other spelling is for the regex engine.
pub(super) fn recognise(pattern: &str) -> Option<Known> {
    if pattern == LAB_PATTERN {
        Some(Known::Lab)
    } else if GPT4.contains(&pattern) {
        Some(Known::Gpt4 { ends_whole: false })
    } else if GPT4_ENDS_WHOLE.contains(&pattern) {
        Some(Known::Gpt4 { ends_whole: true })
    } else if GPT2.contains(&pattern) {
        Some(Known::Gpt2)
    } else {
        None
    }
}

/// Every spelling that `recognise` knows.
#[cfg(test)]
pub(super) fn spellings() -> impl Iterator<Item = &'static str> {
    [LAB_PATTERN]
        .into_iter()
        .chain(GPT4)
        .chain(GPT4_ENDS_WHOLE)
        .chain(GPT2)
}
