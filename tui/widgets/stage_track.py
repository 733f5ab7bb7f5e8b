"""All stages of a run, from top to bottom, with the bar of the one in progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive

from runs.views.run_view import RunView, StageView
from runs.views.states import ACTIVE
from tui.live import present
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, Tone, ToneLine, state_tone
from tui.widgets.toned import TonedWidget

_NAME_WIDTH = 10
_STATE_WIDTH = 9


class StageTrack(TonedWidget, can_focus=True):
    """The stages of the focused run; the chosen one is what the charts show."""

    BINDING_GROUP_TITLE = "Stages"
    HELP = """\
The stages of the run in the order they run. Up and down choose the stage whose curves and
numbers are shown; Home follows the current stage again. On the right is the time a stage took,
or how much of it is done.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "up",
            "move(-1)",
            "Previous stage",
            id="stages.up",
            show=False,
            tooltip="Choose the stage above.",
        ),
        Binding(
            "down",
            "move(1)",
            "Next stage",
            id="stages.down",
            show=False,
            tooltip="Choose the stage below.",
        ),
        Binding(
            "home",
            "follow",
            "Follow",
            id="stages.follow",
            show=False,
            tooltip="Show the current stage again, whichever it is.",
        ),
    ]

    @dataclass
    class Picked(Message):
        """The person wants to see a stage; None means the current one, whichever it is."""

        stage: str | None

    run_view: reactive[RunView | None] = reactive(None)
    """The focused run."""
    selected: reactive[str | None] = reactive(None)
    """The stage that the charts show."""
    now: reactive[float] = reactive(0.0)
    """The time against which running stages are measured."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="track")
        self._glyphs = glyphs

    def watch_run_view(self, before: RunView | None, after: RunView | None) -> None:
        """Ask for another height only where there are more lines or fewer."""
        if _num_lines(before) != _num_lines(after):
            self.refresh(layout=True)

    def render(self) -> Text:
        """Return one line per stage, and two more for the one in progress."""
        run = self.run_view
        if run is None:
            return Text("")
        lines: list[ToneLine] = []
        width = max(self.size.width, 20)
        for stage in run.stages:
            lines.append(self._line(stage, width))
            if stage.stage == run.stage and stage.state in ACTIVE:
                lines += self._progress(stage, width)
        return self.toned(*lines)

    def action_move(self, by: int) -> None:
        """Choose the stage above or below."""
        run = self.run_view
        names = [stage.stage for stage in run.stages] if run else []
        if not names:
            return
        here = names.index(self.selected) if self.selected in names else 0
        self.post_message(self.Picked(names[min(max(here + by, 0), len(names) - 1)]))

    def action_follow(self) -> None:
        """Show the current stage again."""
        self.post_message(self.Picked(None))

    def _line(self, stage: StageView, width: int) -> ToneLine:
        glyphs, tone = self._glyphs, state_tone(stage.state)
        is_selected = stage.stage == self.selected
        share = present.share_done(stage)
        right = present.stage_time(stage, self.now)
        if stage.state in ACTIVE and share is not None:
            right = fmt.percent(share)
        name_tone: Tone = (
            "strong" if is_selected else "quiet" if stage.state == "pending" else "plain"
        )
        room = max(width - 4 - _NAME_WIDTH - _STATE_WIDTH, 0)
        return ToneLine(
            (
                Piece(f"{glyphs.cursor if is_selected else ' '} ", "active"),
                Piece(f"{glyphs.state(stage.state)} ", tone),
                Piece(glyphs.cut(stage.stage, _NAME_WIDTH - 1).ljust(_NAME_WIDTH), name_tone),
                Piece(stage.state.ljust(_STATE_WIDTH), tone),
                Piece(right.rjust(room), "quiet"),
            )
        )

    def _progress(self, stage: StageView, width: int) -> list[ToneLine]:
        indent = " " * 4
        room = width - len(indent)
        eta = fmt.duration(stage.eta_s)
        left_room = room - len(eta) - 5 if eta else room
        left = self._glyphs.cut(present.stage_count(stage, left_room), left_room)
        right = f"ETA {eta}" if eta else ""
        lines = [
            ToneLine((Piece(indent + left), Piece(right.rjust(room - len(left)), "active"))),
        ]
        share = present.share_done(stage)
        if share is not None:
            filled = round(share * room)
            bar = self._glyphs.bar(share, room)
            pieces = (Piece(indent), Piece(bar[:filled], "active"), Piece(bar[filled:], "quiet"))
            lines.insert(0, ToneLine(pieces))
        return lines


def _num_lines(run: RunView | None) -> int:
    """Return how many lines the stages take: the one in progress has up to two more."""
    if run is None:
        return 0
    at_work = [one for one in run.stages if one.stage == run.stage and one.state in ACTIVE]
    return len(run.stages) + sum(1 + (present.share_done(one) is not None) for one in at_work)
