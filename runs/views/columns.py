"""Columns of a runs table: what to show, sort and group by, each named by a key. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runs.errors import UsageError
from runs.views.card import RunCard
from runs.views.run_keys import Absent, Key, Value, check_key, parse_key, read, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Runs that have the same value; `value` is None for those that have none."""

    value: Value
    cards: tuple[RunCard, ...]


def parse_columns(text: str) -> tuple[Key, ...]:
    """Return the keys in a list such as "depth,min:loss,loss@100", or raise UsageError."""
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UsageError(f"--columns {text!r} has an empty name between its commas")
    return tuple(parse_key(word) for word in words)


def check_keys(keys: Iterable[Key], cards: Sequence[RunCard]) -> None:
    """Raise UsageError, with the nearest names, for a key that no run has."""
    for key in keys:
        check_key(key, cards)


def values(card: RunCard, keys: Iterable[Key]) -> dict[str, Value]:
    """Return what a run has under each key, by the key's text; None where it has nothing."""
    return {key.text: value_of(card, key) for key in keys}


def value_of(card: RunCard, key: Key) -> Value:
    """Return what a run has under a key; None where it has nothing."""
    found = read(card, key)
    return None if isinstance(found, Absent) else found


def sort_cards(cards: Sequence[RunCard], key: Key, *, is_reversed: bool = False) -> list[RunCard]:
    """Return the runs by the value of a key: numbers before texts; those without one last."""
    found = [(value_of(card, key), card) for card in cards]
    having = [pair for pair in found if _is_sortable(pair[0])]
    having.sort(key=lambda pair: _rank(pair[0]), reverse=is_reversed)
    return [card for _, card in having] + [card for value, card in found if not _is_sortable(value)]


def group_cards(cards: Sequence[RunCard], key: Key) -> list[Group]:
    """Return the runs by the value of a key, the values in order, each group's runs as given."""
    groups: dict[str, list[RunCard]] = {}
    found: dict[str, Value] = {}
    for card in sort_cards(cards, key):
        value = value_of(card, key)
        name = repr(value)
        found[name] = value
        groups.setdefault(name, [])
    for card in cards:
        groups[repr(value_of(card, key))].append(card)
    return [Group(value=found[name], cards=tuple(members)) for name, members in groups.items()]


def finite_values(cards: Iterable[RunCard], key: Key) -> list[float]:
    """Return the numbers that runs have under a key, leaving out what is no finite number."""
    found = (value_of(card, key) for card in cards)
    return [value for value in found if isinstance(value, float) and abs(value) < float("inf")]


def _is_sortable(value: Value) -> bool:
    # NaN is neither above nor below anything: it stands with those that have no value.
    return value is not None and value == value


def _rank(value: Value) -> tuple[int, float, str]:
    if isinstance(value, bool | float):
        return (0, float(value), "")
    return (1, 0.0, text_of(value))


def summary_of(cards: Sequence[RunCard], key: Key) -> Mapping[str, float] | None:
    """Return num, mean, sd, min and max of a key over runs; None when no run has a number."""
    found = finite_values(cards, key)
    if not found:
        return None
    spread = statistics.stdev(found) if len(found) > 1 else float("nan")
    return {
        "num": len(found),
        "mean": statistics.fmean(found),
        "sd": spread,
        "min": min(found),
        "max": max(found),
    }
