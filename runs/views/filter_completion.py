"""What may come next in a filter that is being typed, for the dashboard and for shells.

Pure over the runs it is given, and it never raises: half a filter is the usual case here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runs.errors import UsageError
from runs.views.card import RunCard
from runs.views.filter_syntax import quote
from runs.views.filters import FIELDS, TEXT_FIELDS
from runs.views.run_keys import SCOPES, Absent, known_keys, parse_key, read, text_of

MAX_SUGGESTIONS = 50
_WORD = re.compile(r"[^\s()]*\Z")
_VALUE = re.compile(r"(?P<key>[^\s()\"'=<>~!]+)(?P<operator>!=|!~|<=|>=|==|[=<>~])(?P<part>.*)")
_FIELD = re.compile(r"(?P<field>[a-z]+):(?P<part>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """`text` replaces the characters from `start` to `end`; `about` says what it is."""

    start: int
    end: int
    text: str
    about: str


def complete(text: str, cursor: int, cards: Sequence[RunCard]) -> list[Suggestion]:
    """Return what the word before the cursor may become, what begins alike first."""
    cursor = max(0, min(cursor, len(text)))
    word = _WORD.search(text[:cursor])
    whole = word[0] if word else ""
    part = whole.lstrip("-")
    if found := _VALUE.fullmatch(part):
        wanted, options = found["part"], _values(found["key"], cards)
    elif (found := _FIELD.fullmatch(part)) and found["field"] in TEXT_FIELDS:
        wanted, options = found["part"], _values(found["field"], cards)
    elif (found := _FIELD.fullmatch(part)) and found["field"] in ("has", *SCOPES):
        wanted, options = found["part"], _names(found["field"], cards)
    else:
        wanted, options = part, [*_keys(cards), *_keywords(text[: cursor - len(whole)])]
    start = cursor - len(wanted)
    return [
        Suggestion(start=start, end=cursor, text=option, about=about)
        for option, about in _ranked(wanted.lstrip("\"'"), options)
    ]


def _ranked(wanted: str, options: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    lowered = wanted.lower()
    found = [option for option in options if lowered in option[0].lower()]
    found.sort(key=lambda option: not option[0].lower().lstrip('"').startswith(lowered))
    return list(dict.fromkeys(found))[:MAX_SUGGESTIONS]


def _keys(cards: Sequence[RunCard]) -> list[tuple[str, str]]:
    known = sorted(known_keys(cards).items(), key=lambda item: ("." in item[0], item[0]))
    return [*((f"{name}:", "field") for name in FIELDS), *known]


def _names(scope: str, cards: Sequence[RunCard]) -> list[tuple[str, str]]:
    wanted = {"has": ("setting", "metric"), "config": ("setting",)}.get(scope, ("metric",))
    return [item for item in known_keys(cards).items() if item[1] in wanted]


def _keywords(before: str) -> list[tuple[str, str]]:
    words = before.split()
    joins = words and words[-1].lower() not in ("and", "or", "not") and words[-1][-1] != "("
    names = ("and", "or", "not") if joins else ("not",)
    return [(name, "keyword") for name in names]


def _values(name: str, cards: Sequence[RunCard]) -> list[tuple[str, str]]:
    counts: dict[str, int] = {}
    for card in cards:
        try:
            value = read(card, parse_key(name))
        except UsageError:
            continue
        if isinstance(value, Absent):
            continue
        texts = value if isinstance(value, tuple) else (text_of(value),)
        for text in dict.fromkeys(texts):
            counts[text] = counts.get(text, 0) + 1
    return [(quote(text), f"{num} run{'s' * (num > 1)}") for text, num in sorted(counts.items())]
