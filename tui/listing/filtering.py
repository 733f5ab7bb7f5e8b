"""The filter of the dashboard: which runs pass, what is wrong with it, and what may come next.

Settings and figures are read from disk when a filter first asks for them, which takes seconds in
a large lab: this is for a thread worker, and it gives up when it is no longer wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runs.errors import UsageError
from runs.views.card import RunCard
from runs.views.filter_completion import Suggestion, complete
from runs.views.filters import RunFilter
from runs.views.run_view import RunView
from runs.views.states import ACTIVE

# Runs of the same recipe have the same settings: a few of them know every name.
MAX_NAMING = 12
_VALUE_SIGNS = frozenset("=<>~:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """The runs that pass a filter; None where there is a problem, which is one line."""

    text: str
    paths: frozenset[Path] | None = None
    problem: str = ""


class FilterDesk:
    """What was read of every run, kept from key to key. For one thread at a time."""

    def __init__(self) -> None:
        self._cards: dict[Path, RunCard] = {}

    def take(self, runs: Sequence[RunView], now_s: float) -> None:
        """Bring the runs up to date; ages are counted against `now_s`."""
        cards = {}
        for run in runs:
            known = self._cards.get(run.path)
            if known is None:
                card = RunCard(run, now_s=now_s)
            elif known.view is run:
                card = known
                card.now_s = now_s
            else:
                card = known.updated(run, now_s=now_s)
            cards[run.path] = card
        self._cards = cards

    def passing(self, text: str, is_stale: Callable[[], bool] = lambda: False) -> Passing | None:
        """Return which runs pass; None when `is_stale` said that nobody waits for it any more."""
        try:
            wanted = RunFilter(text)
            found = set()
            for path, card in self._cards.items():
                if is_stale():
                    return None
                if wanted.matches(card):
                    found.add(path)
            # After the runs were read one by one, which can be broken off.
            wanted.check(list(self._cards.values()))
        except UsageError as error:
            return Passing(text=text, problem=" ".join(str(error).split()))
        return Passing(text=text, paths=frozenset(found))

    def suggestions(self, text: str, cursor: int) -> tuple[Suggestion, ...]:
        """Return what the word before the cursor may become."""
        words = text[:cursor].split()
        word = words[-1] if words and not text[:cursor][-1:].isspace() else ""
        is_value = bool(_VALUE_SIGNS & set(word))
        cards = list(self._cards.values()) if is_value else self._naming()
        return tuple(complete(text, cursor, cards))

    def _naming(self) -> list[RunCard]:
        chosen: dict[tuple[object, ...], RunCard] = {}
        for card in self._cards.values():
            view = card.view
            kind = (view.recipe, view.preset, tuple(stage.stage for stage in view.stages))
            # The curves of a run at work are long to read.
            if kind not in chosen or chosen[kind].view.state in ACTIVE:
                chosen[kind] = card
        return list(chosen.values())[:MAX_NAMING]


def taken(text: str, suggestion: Suggestion) -> tuple[str, int]:
    """Return a filter with a suggestion in its place, and where the cursor is then."""
    before, after = text[: suggestion.start], text[suggestion.end :]
    # A whole term is followed by a space; a field or a key by what it is compared with.
    ends_term = before[-1:] in _VALUE_SIGNS or suggestion.about == "keyword"
    space = " " if ends_term and not after.startswith(" ") else ""
    head = f"{before}{suggestion.text}{space}"
    return head + after, len(head)
