"""The run that the dashboard shows in detail: its events so far and what its worker printed.

Plain Python: built in a thread worker, then owned and advanced by the dashboard alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from runs.paths import RunPaths
from runs.query import RunView
from tui.live import journal, present
from tui.live.feed import DRAIN_BYTES, LogTail, RunFeed
from tui.live.state import LiveView, StageCurves, apply
from tui.shell.glyphs import Glyphs
from tui.shell.tones import ToneLine

MAX_LOG_LINES = 1000


class FocusedRun:
    """Everything known about one run; `run` is replaced whenever the runs are listed again."""

    def __init__(self, run: RunView) -> None:
        self.run = run
        self.run_dir: Path = run.path
        self.view = LiveView()
        self.picked: str | None = None
        self.log_lines: tuple[ToneLine, ...] = ()
        self._feed = RunFeed(run.path, [stage.stage for stage in run.stages])
        self._log = LogTail(run.path)
        self._log_place: tuple[str, int] | None = None
        self._num_told = 0
        self._charted: tuple[StageCurves, tuple[present.ChartData, ...]] | None = None

    @property
    def stage(self) -> str | None:
        """The stage to show: the one a person picked, else the one in progress."""
        return self.picked or present.followed_stage(self.run, self.view)

    def drain(self, is_cancelled: Callable[[], bool]) -> None:
        """Read everything that is there; for a thread worker, since it may take seconds."""
        while not is_cancelled():
            records = self._feed.poll(max_bytes=DRAIN_BYTES)
            if not records:
                return
            self.view = apply(self.view, records)

    def advance(self) -> bool:
        """Read a bounded amount of what is new, and return whether anything was."""
        records = self._feed.poll()
        if records:
            self.view = apply(self.view, records)
        return self._advance_log() or bool(records)

    def charts(self) -> tuple[present.ChartData, ...]:
        """Return the charts of the shown stage; the same objects while nothing has changed."""
        curves = self.view.stage(self.stage)
        if self._charted is None or self._charted[0] is not curves:
            self._charted = (curves, present.charts(curves))
        return self._charted[1]

    def step_stage(self, by: int) -> None:
        """Pick the stage before or after the one that is shown."""
        names = [stage.stage for stage in self.run.stages]
        if names:
            here = names.index(self.stage) if self.stage in names else 0
            self.picked = names[min(max(here + by, 0), len(names) - 1)]

    def pane_lines(self, pane: str, glyphs: Glyphs) -> tuple[ToneLine, ...]:
        """Return the lines of a text pane."""
        match pane:
            case "samples":
                lines = journal.sample_lines(self.view.samples, glyphs)
            case "checkpoints":
                lines = journal.checkpoint_lines(self.view.checkpoints)
            case _:
                lines = self.log_lines
        return lines or journal.nothing_yet(pane, self.view)

    def _advance_log(self) -> bool:
        stage = self.stage
        attempt = self.view.stage(stage).attempt or 1
        place = (stage or "", attempt)
        added: list[ToneLine] = []
        if place != self._log_place:
            self._log_place = place
            self._log = LogTail(RunPaths(self.run_dir).worker_log(*place))
            self._num_told = max(0, self.view.num_lines - len(self.view.lines))
            self.log_lines = ()
        num_new = self.view.num_lines - self._num_told
        if num_new > 0:
            added += [journal.happening(line) for line in self.view.lines[-num_new:]]
            self._num_told = self.view.num_lines
        printed = self._log.read()
        if printed and not self.log_lines:
            added.append(journal.heading(f"logs/{place[0]}/a{attempt}.log"))
        added += journal.printed(printed)
        self.log_lines = (*self.log_lines, *added)[-MAX_LOG_LINES:]
        return bool(added)
