"""Checks that a program can decide about one answer. Torch-free, pure functions.

Each says what it decides, not what it hopes for: a refusal is recognised by its words, a language
by its script and its commonest words. An answer may pass for the wrong reason; none of these
looks into meaning.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from core.tasks.exchange import last_number
from runs.errors import nearest

# The commonest words of each language that few others share.
STOP_WORDS: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in (
        ("english", "the and is are of to in that it you this with for not was have i an on be or"),
        ("french", "le la les des est et un une je vous pas que dans pour avec ne ce il au du"),
        ("german", "der die das und ist ein eine ich nicht zu mit auf sie es von den dem im wie"),
        ("spanish", "el la los las es y un una yo no que en por con para del se su al lo"),
    )
}
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "latin": ("LATIN",),
    "cyrillic": ("CYRILLIC",),
    "greek": ("GREEK",),
    "arabic": ("ARABIC",),
    "han": ("CJK",),
    "japanese": ("HIRAGANA", "KATAKANA", "CJK"),
    "hangul": ("HANGUL",),
    "devanagari": ("DEVANAGARI",),
}
SCRIPT_SHARE = 0.8
# What people and models say when they do not know; apostrophes are straightened beforehand.
UNKNOWING = (
    r"\b(?:do not|don't|does not|can not|cannot|can't|could not|couldn't) "
    r"(?:\w+ ){0,2}?(?:know|tell|see|say|remember|predict|access)\b",
    r"\bno (?:way|means) (?:to|of) know", r"\bnot know\b", r"\bunknown\b", r"\bunable to\b",
    r"\bnot able to\b", r"\bnot sure\b", r"\bno idea\b", r"\bno (?:access|memory|information)\b",
    r"\bimpossible (?:to|for me)\b", r"\bhave(?: not|n't) (?:seen|met|been told)\b",
    r"\bnever (?:seen|met|been told)\b", r"\bnobody (?:knows|can know)\b",
)  # fmt: skip
# The same words four times in a row, 24 characters in all, are a loop; a row of dashes is none.
MIN_LOOP_CHARS = 24
_LOOP = re.compile(r"(.{1,120}?)\1{3,}", re.DOTALL)
# Single letters or digits with something between them: "c-a-t", "c, a, t".
_SPELLED = re.compile(r"(?<!\w)\w(?:[\s,.\-]+\w(?!\w))*(?!\w)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One answer as the checks see it: `text` is without tool calls."""

    text: str
    finish: Literal["stop", "length"]


Decide = Callable[[Heard], bool]


def is_number(answer: Heard, value: Decimal) -> bool:
    """Return whether the last number of the answer is this one."""
    return last_number(answer.text) == value


def is_spelled(answer: Heard, word: str) -> bool:
    """Return whether the answer holds the letters of a word, one by one and in order."""
    wanted = [char.lower() for char in word]
    runs = _SPELLED.findall(answer.text.lower())
    return any(re.findall(r"\w", run) == wanted for run in runs)


def has_word(answer: Heard, words: Sequence[str]) -> bool:
    """Return whether one of the words or phrases is in the answer, whatever its case."""
    text = _straight(answer.text)
    return any(re.search(rf"(?<!\w){re.escape(_straight(word))}(?!\w)", text) for word in words)


def is_unknowing(answer: Heard) -> bool:
    """Return whether the answer says, in words of UNKNOWING, that it does not know."""
    text = _straight(answer.text)
    return any(re.search(pattern, text) for pattern in UNKNOWING)


def has_ended(answer: Heard) -> bool:
    """Return whether the model ended its answer, before the limit and with something said."""
    return answer.finish == "stop" and bool(answer.text.strip())


def is_free_of_loops(answer: Heard) -> bool:
    """Return whether nothing is said four times in a row."""
    return not any(
        len(found[0]) >= MIN_LOOP_CHARS and any(map(str.isalnum, found[1]))
        for found in _LOOP.finditer(answer.text)
    )


def is_short(answer: Heard, words: int) -> bool:
    """Return whether the answer has so many words at most, and at least one."""
    return 1 <= len(answer.text.split()) <= words


def is_in_script(answer: Heard, script: str) -> bool:
    """Return whether at least 80 % of the letters are of a script, and there is one."""
    letters = [unicodedata.name(char, "") for char in answer.text if char.isalpha()]
    own = [name for name in letters if name.startswith(SCRIPTS[script])]
    return bool(letters) and len(own) >= SCRIPT_SHARE * len(letters)


def is_in_language(answer: Heard, language: str) -> bool:
    """Return whether the answer has more stop words of a language than of any other."""
    words = re.findall(r"[^\W\d_]+", _straight(answer.text))
    counts = {name: sum(word in known for word in words) for name, known in STOP_WORDS.items()}
    own = counts.pop(language)
    return own > max(counts.values())


def build_check(kind: str, values: Mapping[str, Any]) -> Decide:
    """Return a check by its name in a suite.

    Raises:
        ValueError: there is no such check, or it does not take these values.
    """
    builder = CHECKS.get(kind)
    if builder is None:
        raise ValueError(f"there is no check {kind!r}{nearest(kind, CHECKS)}")
    try:
        return builder(**values)
    except (TypeError, InvalidOperation):
        given = ", ".join(f"{name} = {value!r}" for name, value in values.items())
        raise ValueError(f"check {kind!r} cannot use {given or 'no value'}") from None


def _number(*, value: float | str) -> Decide:
    wanted = Decimal(str(value))
    return lambda answer: is_number(answer, wanted)


def _spelled(*, word: str) -> Decide:
    return lambda answer: is_spelled(answer, word)


def _says(*, words: Sequence[str]) -> Decide:
    wanted = _words(words)
    return lambda answer: has_word(answer, wanted)


def _never(*, words: Sequence[str]) -> Decide:
    banned = _words(words)
    return lambda answer: not has_word(answer, banned)


def _short(*, words: int) -> Decide:
    if words < 1:
        raise ValueError(f"an answer of at most {words} words says nothing")
    return lambda answer: is_short(answer, words)


def _script(*, name: str) -> Decide:
    if name not in SCRIPTS:
        raise ValueError(f"no script {name!r} is known{nearest(name, SCRIPTS)}")
    return lambda answer: is_in_script(answer, name)


def _language(*, name: str) -> Decide:
    if name not in STOP_WORDS:
        raise ValueError(f"no language {name!r} is known{nearest(name, STOP_WORDS)}")
    return lambda answer: is_in_language(answer, name)


CHECKS: Mapping[str, Callable[..., Decide]] = {
    "number": _number,
    "spelled": _spelled,
    "says": _says,
    "never": _never,
    "short": _short,
    "script": _script,
    "language": _language,
    "unknowing": lambda: is_unknowing,
    "ends": lambda: has_ended,
    "no-loop": lambda: is_free_of_loops,
}


def _words(words: Sequence[str]) -> tuple[str, ...]:
    if isinstance(words, str) or not words or not all(isinstance(word, str) for word in words):
        raise TypeError
    return tuple(words)


def _straight(text: str) -> str:
    """Return text in lower case with plain apostrophes and single spaces."""
    return " ".join(text.lower().replace("\u2019", "'").split())
