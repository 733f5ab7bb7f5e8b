"""Split patterns by name, and the same patterns as other tools spell them. Torch-free."""

from __future__ import annotations

import re

from core import _bpe
from core.tokenizer import SPLIT_PATTERN
from runs.errors import UsageError

# As they were published; rustbpe and nanochat write GPT-4's so.
GPT4_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# GPT-4's in tiktoken today: white space at the end of a text is one word, line breaks or not.
CL100K_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
O200K_PATTERN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {
    "lab": SPLIT_PATTERN,
    "gpt4": GPT4_PATTERN,
    "gpt2": GPT2_PATTERN,
    "cl100k": CL100K_PATTERN,
    "o200k": O200K_PATTERN,
}
_ONIGURUMA = {
    # In that engine too, $ comes after all white space only where the text ends.
    CL100K_PATTERN: CL100K_PATTERN.replace("{1,3}+", "{1,3}"),
}
# Other spellings that cut every text at the same places.
_OTHER_SPELLINGS = {
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+": GPT2_PATTERN,
    # tiktoken's.
    (
        r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
    ): GPT2_PATTERN,
    # What model hubs have.
    (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ): GPT4_PATTERN,
    **{theirs: ours for ours, theirs in _ONIGURUMA.items()},
}
# An escaped brace, bracket or anchor is a character like any other.
_ESCAPE = re.compile(r"\\(?:[pP]\{[^}]*\}|.)", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_TRAP = re.compile(r"\}\+|\^|\$|\[\[:|\(\?[a-zA-Z]*[smuU]")


def pattern_of(text: str) -> str:
    """Return the pattern that a name stands for, else the pattern that `text` is.

    Raises:
        UsageError: it is not a pattern; the regex engine's reason is given.
    """
    pattern = PATTERNS.get(text, text)
    if not pattern:
        raise UsageError(
            f"the split pattern is empty; name one ({', '.join(PATTERNS)}) or write it"
        )
    try:
        _bpe.split("", pattern)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return pattern


def pattern_label(pattern: str) -> str:
    """Return the name of a known pattern, else the pattern itself."""
    return next((name for name, known in PATTERNS.items() if known == pattern), pattern)


def canonical(pattern: str) -> str:
    """Return our spelling of a pattern, where it is known to cut at the same places."""
    return _OTHER_SPELLINGS.get(pattern, pattern)


def engine_trap(pattern: str) -> str | None:
    """Return what Hugging Face's regex engine reads otherwise than ours, if the pattern has it.

    It takes a possessive {m,n}+ for a repeated {m,n}, ^ and $ for ends of lines, (?m) for (?s);
    its word characters and its [[:classes:]] are other ones.
    """
    for escape in _ESCAPE.findall(pattern):
        if escape in (r"\w", r"\W", r"\b", r"\B"):
            return str(escape)
    rest = _ESCAPE.sub("x", pattern)
    found = _TRAP.search(rest if "[[:" in rest else _CLASS.sub("x", rest))
    return found and found.group()


def oniguruma(pattern: str) -> str:
    """Return a pattern for the regex engine of Hugging Face's tokenizers.

    Raises:
        UsageError: that engine would read it otherwise, and it is not a known one.
    """
    if pattern in _ONIGURUMA:
        return _ONIGURUMA[pattern]
    trap = engine_trap(pattern)
    if trap is not None:
        raise UsageError(
            f"Hugging Face's regex engine reads {trap!r} in the split pattern otherwise than ours; "
            "export to tiktoken or nanochat instead"
        )
    return pattern


def covers_everything(pattern: str) -> bool:
    """Return whether the pattern leaves no character out, tried on all of Unicode."""
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    return pattern in PATTERNS.values() or "".join(_bpe.split(every, pattern)) == every
