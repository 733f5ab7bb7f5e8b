"""Filters over runs, one grammar for the command line and the dashboard.

`depth=12 and val_bpb<0.9 tag:keep -note:broken created>2d`: the grammar is in
`filter_syntax`, the names are in `run_keys`. Torch-free and without a terminal.

    word           a name, slug, id, tag, note, recipe, preset or state holds it
    tag:x          has the tag, * stands for anything; other field:x, the field holds the text
    has:loss       has such a setting or metric        config:depth=12   never a metric
    = != < <= > >= numbers take k M B T, time spans s m h d w; = takes * in texts
    ~ !~           a regular expression is found in the value, or is not
    created>2d     later than two days ago; created>2026-11-20 or created=today work too

A run that lacks the key matches no comparison but != and !~.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Callable, Iterable, Sequence

from runs.errors import UsageError, nearest
from runs.views.card import RunCard
from runs.views.filter_syntax import (
    AllOf,
    AnyOf,
    Compare,
    Expression,
    Match,
    Not,
    Word,
    parse,
    place_error,
)
from runs.views.filter_values import Period, parse_count, parse_period, parse_span
from runs.views.run_keys import (
    ATTRIBUTES,
    Absent,
    Key,
    Kind,
    Value,
    check_key,
    kind_of,
    parse_key,
    read,
    text_of,
)

Test = Callable[[RunCard], bool]
TEXT_FIELDS = tuple(name for name, item in ATTRIBUTES.items() if item.kind in ("text", "texts"))
FIELDS = (*TEXT_FIELDS, "config", "has")
_SEARCHED = ("name", "slug", "tag", "note", "recipe", "preset", "state")
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class RunFilter:
    """A filter, ready to be asked about runs."""

    def __init__(self, text: str) -> None:
        """Read a filter, or raise UsageError with the place of the mistake."""
        self.text = text
        self.expression = parse(text)
        self._keys: list[tuple[Key, int]] = []
        self._test = self._compile(self.expression)

    def check(self, cards: Sequence[RunCard]) -> None:
        """Raise UsageError when the filter names a key that means nothing to any run."""
        for key, at in self._keys:
            try:
                check_key(key, cards)
            except UsageError as error:
                raise place_error(at, str(error)) from None

    def matches(self, card: RunCard) -> bool:
        """Return whether a run passes."""
        return self._test(card)

    def _compile(self, expression: Expression) -> Test:
        match expression:
            case Word(text=text):
                return _word_test(text)
            case Match():
                return self._match_test(expression)
            case Compare():
                return self._compare_test(expression)
            case Not(term):
                inner = self._compile(term)
                return lambda card: not inner(card)
            case AllOf(terms):
                tests = [self._compile(term) for term in terms]
                return lambda card: all(test(card) for test in tests)
            case AnyOf(terms):
                tests = [self._compile(term) for term in terms]
                return lambda card: any(test(card) for test in tests)

    def _match_test(self, term: Match) -> Test:
        if term.name == "has":
            key = self._key(term.text, term.at)
            return lambda card: not isinstance(read(card, key), Absent)
        wanted = term.text.lower()
        if term.name == "config":
            return lambda card: any(
                wanted in f"{name}={value}".lower() for name, value in card.settings.items()
            )
        if term.name not in TEXT_FIELDS:
            hint = nearest(term.name, FIELDS)
            raise place_error(term.at, f"unknown field {term.name!r}{hint}")
        found = ATTRIBUTES[term.name].read
        if term.name == "tag":
            return lambda card: any(_is_like(tag, wanted) for tag in _texts(found(card)))
        return lambda card: any(wanted in text.lower() for text in _texts(found(card)))

    def _compare_test(self, term: Compare) -> Test:
        key = self._key(term.key, term.at)
        operator, value = term.operator, term.value
        if operator in ("~", "!~"):
            found = _regex_test(value, term.at)
        elif operator in ("=", "!="):
            found = _equal_test(value, kind_of(key), key, term.at)
        else:
            found = _order_test(operator, value, key, term.at)
        is_wanted = operator not in ("!=", "!~")

        def test(card: RunCard) -> bool:
            try:
                actual = read(card, key)
            except UsageError as error:
                raise place_error(term.at, str(error)) from None
            return (not isinstance(actual, Absent) and found(actual, card)) == is_wanted

        return test

    def _key(self, text: str, at: int) -> Key:
        try:
            key = parse_key(text)
        except UsageError as error:
            raise place_error(at, str(error)) from None
        self._keys.append((key, at))
        return key


def select(text: str, cards: Iterable[RunCard]) -> list[RunCard]:
    """Return the runs that a filter lets through, in their order.

    Raises:
        UsageError: the filter cannot be read, or names what no run has.
    """
    wanted = RunFilter(text)
    listed = list(cards)
    wanted.check(listed)
    return [card for card in listed if wanted.matches(card)]


ValueTest = Callable[[Value, RunCard], bool]


def _word_test(text: str) -> Test:
    wanted = text.lower()

    def test(card: RunCard) -> bool:
        if card.view.run_id.lower().startswith(wanted):
            return True
        values = (ATTRIBUTES[name].read(card) for name in _SEARCHED)
        return any(wanted in text.lower() for value in values for text in _texts(value))

    return test


def _regex_test(pattern: str, at: int) -> ValueTest:
    try:
        found = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise place_error(at, f"{pattern!r} is no regular expression: {error}") from None
    return lambda value, _: any(found.search(text) for text in _texts(value))


def _equal_test(wanted: str, kind: Kind | None, key: Key, at: int) -> ValueTest:
    if kind == "moment":
        moment = _period_of(wanted, key, at)
        return lambda value, card: _is_in(value, moment(card))
    lowered = wanted.lower()
    amount = _amount(wanted, kind, key)

    def test(value: Value, _: RunCard) -> bool:
        if isinstance(value, float) and amount is not None:
            both_nan = math.isnan(value) and math.isnan(amount)
            return both_nan or math.isclose(value, amount, rel_tol=1e-9)
        if value is None:
            return lowered in ("none", "null")
        return any(_is_like(text, lowered) for text in _texts(value))

    return test


def _order_test(operator: str, wanted: str, key: Key, at: int) -> ValueTest:
    kind = kind_of(key)
    if kind in ("text", "texts"):
        raise place_error(at, f"{key.text} is text: compare it with =, !=, ~ or !~")
    if kind == "moment":
        moment = _period_of(wanted, key, at)
        return lambda value, card: (
            isinstance(value, float) and _is_beyond(operator, value, moment(card))
        )
    amount = _amount(wanted, kind, key)
    if amount is None:
        what = "time span such as 30m or 2d" if kind == "duration" else "number"
        raise place_error(at, f"{key.text}{operator} needs a {what}, not {wanted!r}")
    limit, compare = amount, _ORDER[operator]
    return lambda value, _: isinstance(value, float) and compare(value, limit)


def _amount(text: str, kind: Kind | None, key: Key) -> float | None:
    # In "tokens<5M" the letter counts, in "elapsed<5m" and "train_s<5m" it is minutes.
    is_span = kind == "duration" or key.name.endswith("_s")
    span_s = parse_span(text) if is_span else None
    return parse_count(text) if span_s is None else span_s


def _period_of(text: str, key: Key, at: int) -> Callable[[RunCard], Period]:
    def moment(card: RunCard) -> Period:
        found = parse_period(text, card.now_s)
        assert found is not None
        return found

    if parse_period(text, 1e9) is None:
        raise place_error(at, f"{key.text} needs a time: 2d, today, 2026-11-20; not {text!r}")
    return moment


def _is_in(value: Value, period: Period) -> bool:
    if not isinstance(value, float):
        return False
    return value == period.start_s or period.start_s <= value < period.end_s


def _is_beyond(operator: str, value: float, period: Period) -> bool:
    if operator == "<":
        return value < period.start_s
    if operator == "<=":
        return value < period.end_s or value == period.start_s
    if operator == ">":
        return value > period.start_s and value >= period.end_s
    return value >= period.start_s


def _texts(value: Value) -> tuple[str, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (text_of(value),)


def _is_like(text: str, pattern: str) -> bool:
    lowered = text.lower()
    if lowered == pattern:
        return True
    # Of the wildcards only * counts: a bracket in a name is a bracket.
    return "*" in pattern and fnmatch.fnmatchcase(lowered, pattern.replace("[", "[[]"))
