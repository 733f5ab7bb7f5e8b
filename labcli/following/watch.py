"""Watching a run from a terminal: tells what happens until it ends or the person leaves.

The run belongs to its supervisor; whatever happens here, it goes on unless it is asked to stop.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labcli import diagnostics
from labcli.following.feed import RunFeed
from labcli.following.narrate import Narrator
from runs.errors import LabError, UsageError
from runs.paths import LabHome, RunPaths
from runs.settings import load_settings
from runs.supervision.requests import request_stop
from runs.views.facts import FoldCache
from runs.views.query import load_run
from runs.views.run_view import RunView
from runs.views.states import ENDED

POLL_S = 0.25
VIEW_EVERY_S = 1.0
ENDED_STATES = ENDED | {"unreadable"}
QUESTION = "[d]etach and let it run, [s]top after a checkpoint, or [k]eep watching? [k] "


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """How watching ended: the last view of the run, and whether the person left it running."""

    view: RunView
    is_detached: bool = False


class Watch:
    """One person watching one run; `skip_past` leaves out what was written before now."""

    def __init__(
        self,
        run_dir: Path,
        *,
        skip_past: bool = False,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_dir = run_dir
        self._wait = wait
        self._clock = clock
        self._feed = RunFeed(RunPaths(run_dir))
        self._cache = FoldCache()
        self._narrator = Narrator()
        self._status = diagnostics.StatusLine()
        self._problem: str | None = None
        self._has_bell = wants_bell(RunPaths(run_dir).home)
        if skip_past:
            self._feed.read()

    def until_end(self) -> Watched:
        """Return when the run has ended, or when the person has detached from it."""
        while True:
            try:
                return self._follow()
            except KeyboardInterrupt:
                self._status.clear()
                if ask_to_leave(self._run_dir):
                    return Watched(view=self._look(), is_detached=True)

    def _follow(self) -> Watched:
        view, looked_at_s = self._look(), self._clock()
        while view.state not in ENDED_STATES:
            self._tell()
            self._warn(view)
            self._status.update(self._narrator.status())
            self._wait(POLL_S)
            if self._clock() - looked_at_s >= VIEW_EVERY_S:
                view, looked_at_s = self._look(), self._clock()
        self._tell()
        self._status.clear()
        return Watched(view=view)

    def _look(self) -> RunView:
        return load_run(self._run_dir, self._cache)

    def _tell(self) -> None:
        for item in self._feed.read():
            if item.record.kind == "alert" and self._has_bell:
                diagnostics.ring()
            for line in self._narrator.feed(item):
                if not (line.is_chatter and self._status.is_live):
                    self._status.say(line.text)

    def _warn(self, view: RunView) -> None:
        """Say what is wrong with a run that goes on: a hang, a restart, a lost supervisor."""
        if view.problem is not None and view.problem != self._problem:
            self._status.say(view.problem)
        self._problem = view.problem


def ask_to_leave(run_dir: Path) -> bool:
    """Ask what an interrupt means; without a person to ask, it means leaving."""
    if not diagnostics.is_terminal():
        return True
    try:
        answer = diagnostics.ask(f"\n{QUESTION}")
    except KeyboardInterrupt:
        diagnostics.say()
        return True
    if answer.startswith("s"):
        diagnostics.say("stopping: a checkpoint is written first")
        # A UsageError means that the run has ended while the person was deciding.
        with suppress(UsageError):
            request_stop(run_dir)
    return answer.startswith("d")


def wants_bell(home: LabHome) -> bool:
    """Return whether alerts ring; settings that cannot be read spoil no watching."""
    try:
        return load_settings(home, os.environ).notify.bell
    except LabError:
        return False


def wait_for_end(run_dir: Path, *, wait: Callable[[float], None] = time.sleep) -> RunView:
    """Return the view of a run once it has ended."""
    cache = FoldCache()
    while (view := load_run(run_dir, cache)).state not in ENDED_STATES:
        wait(POLL_S)
    return view
