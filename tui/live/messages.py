"""What workers tell the dashboard. Widgets' own messages are nested in the widgets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from runs.views.run_view import RunView

if TYPE_CHECKING:
    from tui.live.focus import FocusedRun


@dataclass
class RunsListed(Message):
    """The lab home was read.

    num_unread: runs that are there and come later. cost_s: the processor time that it took.
    """

    runs: tuple[RunView, ...]
    num_unread: int = 0
    cost_s: float = 0.0


@dataclass
class RunsFailed(Message):
    """The lab home could not be read."""

    problem: str


@dataclass
class FocusLoaded(Message):
    """The events of a run were read to their end."""

    focused: FocusedRun


@dataclass
class FocusFailed(Message):
    """The events of a run could not be read."""

    run_dir: Path
    problem: str


@dataclass
class ActionDone(Message):
    """What a person asked of some runs was done, or refused.

    touched: the runs that have changed by it.
    """

    text: str
    is_refused: bool
    touched: tuple[Path, ...] = ()
