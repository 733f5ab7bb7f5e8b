"""One line about the whole lab home, and one or two about the focused run."""

from __future__ import annotations

import textwrap
from collections import Counter

from rich.text import Text
from textual.reactive import reactive

from runs.views.run_view import RunView
from runs.views.states import ACTIVE
from tui.live import present
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, ToneLine, state_tone
from tui.widgets.toned import TonedWidget, spread

MAX_PROBLEM_LINES = 2


class TopBar(TonedWidget):
    """The name of the program, the lab home and how many runs are in which state."""

    home: reactive[str] = reactive("")
    """The lab home."""
    states: reactive[tuple[str, ...]] = reactive(())
    """The state of every run."""
    problem: reactive[str] = reactive("")
    """Why the lab home cannot be read, if so."""
    num_unread: reactive[int] = reactive(0)
    """How many runs are still being read."""
    num_marked: reactive[int] = reactive(0)
    """How many runs are marked."""
    num_alerted: reactive[int] = reactive(0)
    """How many runs at work have alerts."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="top")
        self._glyphs = glyphs

    def render(self) -> Text:
        """Return the line."""
        home = self._glyphs.cut(self.home, max(self.size.width // 3, 8))
        left = (Piece("labcli", "strong"), Piece(f"  {home}", "quiet"))
        if self.problem:
            return self.toned(spread(left, (Piece(self.problem, "error"),), self.size.width))
        return self.toned(spread(left, self._counts(), self.size.width))

    def _counts(self) -> tuple[Piece, ...]:
        """Return what is counted, what matters most first: the end may not fit."""
        glyphs, total = self._glyphs, len(self.states)
        pieces = []
        if self.num_marked:
            pieces.append(Piece(f"{glyphs.mark} {self.num_marked} marked  ", "active"))
        if self.num_alerted:
            pieces.append(Piece(f"{glyphs.alert} {self.num_alerted} with alerts  ", "warning"))
        if self.num_unread:
            pieces.append(Piece(f"{total:,} of {total + self.num_unread:,} runs read", "active"))
        else:
            pieces.append(Piece(fmt.counted(total, "run"), "quiet"))
        counts = Counter(self.states)
        for state in sorted(counts, key=lambda one: (one not in ACTIVE, one == "finished")):
            text = f"  {glyphs.state(state)} {counts[state]:,} {state}"
            pieces.append(Piece(text, state_tone(state)))
        return tuple(pieces)


class RunHeader(TonedWidget):
    """Which run is shown below, and what is wrong with it, if anything."""

    run_view: reactive[RunView | None] = reactive(None)
    """The focused run."""
    problem: reactive[str] = reactive("", layout=True)
    """A problem with reading it that its own view does not tell."""

    now: reactive[float] = reactive(0.0)
    """The time against which its age is counted."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="header")
        self._glyphs = glyphs
        self._num_drawn = 0

    def watch_run_view(self) -> None:
        """Ask for another height only where there are more lines or fewer: a layout is dear."""
        if self._num_drawn != 1 + len(self._problem_lines()):
            self.refresh(layout=True)

    def count_age(self, now: float) -> None:
        """Count the age against a later time; nothing is drawn while it reads the same."""
        run = self.run_view
        if run is None or fmt.age(now - run.created_s) != fmt.age(self.now - run.created_s):
            self.now = now

    def render(self) -> Text:
        """Return the title line and, where there is one, the line with the problem."""
        run = self.run_view
        if run is None:
            return Text("")
        lines = [self._title(run)]
        for place, line in enumerate(self._problem_lines()):
            mark = " " if place else self._glyphs.alert
            lines.append(ToneLine((Piece(f"{mark} {line}", "error"),)))
        self._num_drawn = len(lines)
        return self.toned(*lines)

    def _problem_lines(self) -> list[str]:
        run = self.run_view
        if run is None:
            return []
        problem = self.problem or run.problem or _stage_error(run)
        # The directory itself is named in the table: only what lies in it is news.
        problem = " ".join(problem.replace(f"{run.path}/", "").split())
        return textwrap.wrap(problem, max(self.size.width - 2, 8), max_lines=MAX_PROBLEM_LINES)

    def _title(self, run: RunView) -> ToneLine:
        glyphs = self._glyphs
        left = [
            Piece(f"{glyphs.cursor} {run.name or run.slug or run.path.name}  ", "strong"),
            Piece(f"{glyphs.state(run.state)} {run.state}", state_tone(run.state)),
        ]
        if run.recipe:
            left.append(
                Piece(f"  {run.recipe}" + (f"/{run.preset}" if run.preset else ""), "quiet")
            )
        num_alerts = run.num_alerts
        if num_alerts:
            word = "alert" if num_alerts == 1 else "alerts"
            left.append(Piece(f"  {glyphs.alert} {num_alerts} {word}", "warning"))
        left.append(Piece(f"  {fmt.age(self.now - run.created_s)} old", "quiet"))
        right = []
        eta = present.run_eta(run)
        if eta:
            right.append(Piece(f"{run.stage} ETA {eta}", "active"))
        if run.tags:
            right.append(Piece("  " + " ".join(f"#{tag}" for tag in run.tags), "quiet"))
        return spread(tuple(left), tuple(right), self.size.width)


def _stage_error(run: RunView) -> str:
    """Return the error of the stage that stopped the run."""
    for stage in run.stages:
        if stage.error and stage.state in ("failed", "crashed", "killed", "lost"):
            return f"{stage.stage}: {stage.error}"
    return ""
