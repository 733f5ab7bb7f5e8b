"""A run that is followed: its events so far and what its worker printed.

Plain Python: built in a thread worker, then owned and advanced by one widget or screen alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from runs.alerting.alerts import read_alerts
from runs.alerting.host_alerts import RunAlert
from runs.errors import LabError
from runs.paths import RunPaths
from runs.settings import AlertRules, load_settings
from runs.views.run_view import RunView
from tui.charts.plot import NO_RUN
from tui.charts.series import Series
from tui.live import journal, present
from tui.live.axes import Subject
from tui.live.feed import DRAIN_BYTES, LogTail, RunFeed
from tui.live.saved import Place, SavedCheckpoint, kept_on_disk, saved_checkpoints
from tui.live.state import LiveView, apply
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
        self._found_alerts: tuple[RunAlert, ...] = ()
        self._kept: frozenset[Place] = frozenset()
        self._feed = RunFeed(run.path, [stage.stage for stage in run.stages])
        self._log = LogTail(run.path)
        self._log_place: tuple[str, int] | None = None
        self._num_told = 0

    @property
    def stage(self) -> str | None:
        """The stage to show: the one a person picked, else the one in progress."""
        return self.picked or present.followed_stage(self.run, self.view)

    @property
    def run_now(self) -> RunView:
        """The run as far as its events tell, which is further than its listing."""
        return present.brought_forward(self.run, self.view)

    @property
    def alerts(self) -> tuple[RunAlert, ...]:
        """Every alert, oldest first: those that were found at first and those heard since."""
        known = {alert.key for alert in self._found_alerts}
        new = {alert.key: alert for alert in self.view.alerts if alert.key not in known}
        return (*self._found_alerts, *new.values()) if new else self._found_alerts

    def drain(self, is_cancelled: Callable[[], bool]) -> None:
        """Read everything that is there; for a thread worker, since it may take seconds."""
        while not is_cancelled():
            records = self._feed.poll(max_bytes=DRAIN_BYTES)
            if not records:
                break
            self.view = apply(self.view, records)
        if not is_cancelled():
            self._found_alerts = tuple(read_alerts(self.run_dir, _rules(self.run_dir)))

    def advance(self) -> bool:
        """Read a bounded amount of what is new, and return whether anything was."""
        records = self._feed.poll()
        if records:
            self.view = apply(self.view, records)
        return self._advance_log() or bool(records)

    def look_at_disk(self) -> bool:
        """See which checkpoints are left, and return whether others are than before."""
        before = self._kept
        stages = dict.fromkeys(one.stage for one in self.view.checkpoints)
        self._kept = kept_on_disk(self.run_dir, stages)
        return self._kept != before

    @property
    def checkpoints(self) -> tuple[SavedCheckpoint, ...]:
        """Every checkpoint, oldest first, as it was when the disk was looked at."""
        written = self.view.checkpoints
        measured = {
            (stage, int(step)): value
            for stage in dict.fromkeys(one.stage for one in written)
            for step, value in _points(self.view.stage(stage).curve("val_bpb"))
        }
        return saved_checkpoints(written, self._kept, measured)

    def subject(self, *, stage: str | None = None, run: int = NO_RUN, letter: str = "") -> Subject:
        """Return what the charts show of it: of a stage where it has that, else of its own."""
        name = stage if stage is not None and self.view.stage(stage).curves else self.stage
        seen = next((one for one in self.run.stages if one.stage == name), None)
        usd, worked_s = self.run.usd, self.run.worked_s
        return Subject(
            name=self.run.name,
            curves=self.view.stage(name),
            host=self.view.host,
            run=run,
            letter=letter,
            usd_per_hour=usd / worked_s * 3600 if usd and worked_s else None,
            started_s=seen.started_s if seen else None,
            ended_s=seen.ended_s if seen else None,
        )

    def step_stage(self, by: int) -> None:
        """Pick the stage before or after the one that is shown."""
        names = [stage.stage for stage in self.run.stages]
        if names:
            here = names.index(self.stage) if self.stage in names else 0
            self.picked = names[min(max(here + by, 0), len(names) - 1)]

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
        if added:
            self.log_lines = (*self.log_lines, *added)[-MAX_LOG_LINES:]
        return bool(added)


def _rules(run_dir: Path) -> AlertRules:
    try:
        return load_settings(RunPaths(run_dir).home, os.environ).alerts
    except LabError:
        # Whoever uses the settings names what is wrong with them; alerts are shown all the same.
        return AlertRules()


def _points(curve: Series) -> list[tuple[float, float]]:
    return list(zip(curve.x.tolist(), curve.y.tolist(), strict=True))
