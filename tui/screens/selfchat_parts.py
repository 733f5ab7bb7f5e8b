"""The lists of the self-chat view with their help, and what its workers tell it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.message import Message

from runs.views.query import RunView
from tui.selfchat.curves import TurnPlot
from tui.selfchat.reading import Held
from tui.widgets.row_list import RowList


@dataclass
class RunsRead(Message):
    """The lab home was read."""

    runs: tuple[RunView, ...]
    problem: str = ""


@dataclass
class HeldRead(Message):
    """A self-chat was read; held: None where nothing is new; problem says what is in the way."""

    run_dir: Path
    held: Held | None
    problem: str = ""


@dataclass
class PlotsMade(Message):
    """The curves of a self-chat, of so many turns."""

    run_dir: Path
    plots: tuple[TurnPlot, ...]
    num_turns: int


class RunsList(RowList):
    """The self-chats of the lab home."""

    BINDING_GROUP_TITLE = "Self-chats"
    HELP = "The self-chats of this lab home, newest first. Enter shows the one under the cursor."


class TalksList(RowList):
    """The conversations of one self-chat."""

    BINDING_GROUP_TITLE = "Conversations"
    HELP = """\
The conversations of the self-chat: number, what sets its setting apart, seed, how it ended, and
its mean entropy turn by turn as bars. done: it took all turns; loop: it repeated itself; full: the
context was full; cut: time or tokens were spent; empty: a turn without text. Enter goes to the
text, f lists one setting alone.
"""


class FindingsList(RowList):
    """What was found."""

    BINDING_GROUP_TITLE = "Findings"
    HELP = """\
What the self-chat found: the verdicts in sentences, then every measure under every setting with
its 95 % interval over conversations, then the comparisons of the settings. Each p is corrected for
all comparisons together (Holm); a mark and bold figures say that it is below 0.05.
"""
