"""What the filter worker tells the dashboard."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from runs.views.filter_completion import Suggestion
from tui.listing.filtering import Passing


@dataclass
class Filtered(Message):
    """The runs that pass are known; `serial` says for which wish, `cost_s` how long it took."""

    serial: int
    passing: Passing
    cost_s: float


@dataclass
class Suggested(Message):
    """What may come next in the filter is known."""

    serial: int
    suggestions: tuple[Suggestion, ...]


@dataclass
class FilterDone(Message):
    """The worker has come to its end; `problem` is what nobody expected."""

    serial: int
    problem: str = ""
