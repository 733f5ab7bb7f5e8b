"""Every run of a lab home, brought up to date a little at a time.

Runs at work are read at each look. Of the others only the marks of their files are, in turns, so
that a lab of a thousand finished runs costs next to nothing to keep an eye on.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from runs.metrics.fingerprint import fingerprint, log_fingerprint
from runs.paths import LabHome
from runs.views.facts import FoldCache
from runs.views.query import list_runs, load_run, run_dirs
from runs.views.run_view import RunView
from runs.views.states import ACTIVE

# The newest runs, for a first picture while the others are still being read.
NUM_FIRST = 24
FIRST_S = 0.15
# Within this time each run that is not at work has been looked at again.
LAP_S = 5.0
# In one of so many laps all of its files are looked at, else those that a person's doings change:
# whoever starts a run again, or labels it, writes there first.
THOROUGH_LAPS = 16
_DOINGS = ("requests.jsonl", "annotations.jsonl")
# A directory that changed this lately may change again without another time stamp.
_UNSURE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """The runs, newest first; the very same tuple as long as nothing has changed.

    num_unread: runs that are there and were not read yet.
    """

    runs: tuple[RunView, ...]
    num_unread: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """What the files of a run looked like: those of `_DOINGS`, and all."""

    doings: str
    whole: str


class Roster:
    """Reads the runs of a lab home. For one thread at a time."""

    def __init__(self, home: LabHome, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._home = home
        self._clock = clock
        self._cache = FoldCache()
        self._order: list[Path] = []
        self._dir_mark: tuple[int, int] | None = None
        self._views: dict[Path, RunView] = {}
        self._marks: dict[Path, _Mark] = {}
        # Runs to be read at each look: at work, or never read.
        self._busy: set[Path] = set()
        self._rest: list[tuple[Path, bool]] = []
        self._num_laps = 0
        self._looked_s: float | None = None
        self._is_whole = False
        self._has_news = True
        self._roll = Roll(runs=())

    def look(self, touched: Collection[Path] = ()) -> Roll:
        """Return what is there now; the first look at many runs returns the newest of them.

        touched: runs that somebody has just changed, which are read at once.

        Raises:
            OSError: the lab home cannot be read.
        """
        now = self._clock()
        elapsed_s = LAP_S if self._looked_s is None else now - self._looked_s
        self._looked_s = now
        self._find()
        if self._is_whole:
            self._go_on(touched, elapsed_s)
        elif not self._views and len(self._order) > NUM_FIRST:
            self._read_first()
        else:
            self._read_all()
        if self._has_news:
            self._has_news = False
            runs = tuple(self._views[path] for path in self._order if path in self._views)
            self._roll = Roll(runs=runs, num_unread=len(self._order) - len(runs))
        return self._roll

    def _find(self) -> None:
        """See which directories there are, if that may have changed."""
        try:
            status = self._home.runs_dir.stat()
        except FileNotFoundError:
            mark = (0, 0)
        else:
            mark = (status.st_mtime_ns, status.st_ino)
        if mark == self._dir_mark and time.time() - mark[0] / 1e9 > _UNSURE_S:
            return
        self._dir_mark = mark
        found = run_dirs(self._home)
        if found == self._order:
            return
        self._order, here = found, set(found)
        self._has_news = True
        for path in self._views.keys() - here:
            del self._views[path]
            self._marks.pop(path, None)
        self._busy = (self._busy & here) | (here - self._views.keys())
        self._rest = []

    def _read_first(self) -> None:
        until_s = self._clock() + FIRST_S
        for path in self._order[:NUM_FIRST]:
            self._put(load_run(path, self._cache))
            if self._clock() > until_s:
                return

    def _read_all(self) -> None:
        # Marked before they are read: what changes in between is then read again.
        self._marks = {path: _mark(path) for path in self._order}
        for view in list_runs(self._home, self._cache):
            self._put(view)
        self._is_whole = True

    def _go_on(self, touched: Collection[Path], elapsed_s: float) -> None:
        for path in [*self._busy, *touched]:
            self._put(load_run(path, self._cache))
            # Once it is no longer at work, its turn comes to be marked.
            self._marks.pop(path, None)
        for path, is_thorough in self._next_of_rest(elapsed_s):
            if path not in self._busy and path in self._views:
                self._check(path, is_thorough)

    def _put(self, view: RunView) -> None:
        if view.path not in self._views or self._views[view.path] != view:
            self._views[view.path] = view
            self._has_news = True
        if view.state in ACTIVE:
            self._busy.add(view.path)
        else:
            self._busy.discard(view.path)

    def _check(self, path: Path, is_thorough: bool) -> None:
        """Read a run again if its files have changed since it was read."""
        view, known = self._views[path], self._marks.get(path)
        # Of a finished run the logs have their ends; another may be written by a lost worker.
        is_thorough |= view.state != "finished"
        # A file that may not be read has the same time stamps once it may.
        is_same = known is not None and view.state != "unreadable"
        if known is not None and is_thorough:
            is_same &= known.whole == _whole(path)
        elif known is not None:
            is_same &= known.doings == _doings(path)
        if not is_same:
            self._marks[path] = _mark(path)
            self._put(load_run(path, self._cache))

    def _next_of_rest(self, elapsed_s: float) -> list[tuple[Path, bool]]:
        if not self._rest:
            self._num_laps += 1
            self._rest = [
                (path, (place + self._num_laps) % THOROUGH_LAPS == 0)
                for place, path in enumerate(self._order)
            ]
        num = math.ceil(len(self._order) * min(elapsed_s / LAP_S, 1.0))
        now, self._rest = self._rest[:num], self._rest[num:]
        return now


def _mark(run_dir: Path) -> _Mark:
    return _Mark(doings=_doings(run_dir), whole=_whole(run_dir))


def _whole(run_dir: Path) -> str:
    return f"{fingerprint(run_dir)} {log_fingerprint(run_dir)}"


def _doings(run_dir: Path) -> str:
    marks = []
    for name in _DOINGS:
        try:
            status = os.stat(f"{run_dir}/{name}")  # noqa: PTH116 (thousands of them)
        except OSError:
            marks.append("-")
        else:
            marks.append(f"{status.st_mtime_ns:x}.{status.st_size:x}")
    return " ".join(marks)
