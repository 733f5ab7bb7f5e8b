"""The queue of a lab home: one small file per run that waits for its turn.

A file's name holds its place in the line, so that a listing of the directory is the queue. Entries
are taken out under a lock: a run is either started or withdrawn, never both.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runs.errors import Corrupt, UsageError
from runs.files import read_json, write_json
from runs.log import append_record
from runs.paths import LabHome, RunPaths
from runs.supervision.system import hold_lock

MAX_PRIORITY = 100
_LOCK_WAIT_S = 10.0
_NAME = re.compile(r"(?P<rank>\d{3})-(?P<ms>\d{13})-(?P<run_id>[0-9A-Z]{26})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A run that waits; `num_gpus` is 0 for one that trains on the CPU."""

    path: Path
    run_id: str
    priority: int
    enqueued_s: float

    @property
    def num_gpus(self) -> int:
        """How many GPUs the run needs at once."""
        try:
            return int(read_json(self.path).get("num_gpus", 0))
        except (OSError, Corrupt, TypeError, ValueError):
            return 0


def check_priority(priority: int) -> int:
    """Return a priority, or raise UsageError when it is out of range."""
    if abs(priority) > MAX_PRIORITY:
        raise UsageError(f"priority {priority} is outside -{MAX_PRIORITY}..{MAX_PRIORITY}")
    return priority


def enqueue(
    paths: RunPaths,
    *,
    num_gpus: int,
    priority: int = 0,
    clock: Callable[[], float] = time.time,
) -> None:
    """Put a run at the end of the line of its priority; a run that waits already stays there."""
    run_id, home = paths.run_dir.name[:26], paths.home
    if find(home, run_id) is not None:
        return
    now = clock()
    append_record(paths.requests, "enqueue", {"priority": priority}, sync=True, clock=clock)
    # Higher priorities sort first.
    name = f"{500 - check_priority(priority):03d}-{round(now * 1000):013d}-{run_id}.json"
    body = {"v": 1, "run_id": run_id, "priority": priority, "num_gpus": num_gpus}
    write_json(home.queue_dir / name, body)


def entries(home: LabHome) -> list[Entry]:
    """Return the runs that wait, in the order in which they will start."""
    try:
        names = sorted(path.name for path in home.queue_dir.iterdir())
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None:
            entry = Entry(
                path=home.queue_dir / name,
                run_id=match["run_id"],
                priority=500 - int(match["rank"]),
                enqueued_s=int(match["ms"]) / 1000,
            )
            found.append(entry)
    return found


def find(home: LabHome, run_id: str) -> Entry | None:
    """Return the entry of a run, or None when it does not wait."""
    return next((entry for entry in entries(home) if entry.run_id == run_id), None)


def position(home: LabHome, run_id: str) -> int | None:
    """Return the place of a run in the queue, from 1, or None when it does not wait."""
    waiting = [entry.run_id for entry in entries(home)]
    return waiting.index(run_id) + 1 if run_id in waiting else None


@contextmanager
def taking(home: LabHome) -> Iterator[None]:
    """Hold the lock under which entries are taken out of the queue."""
    with hold_lock(home.queue_dir / "lock", wait_s=_LOCK_WAIT_S, what="the queue"):
        yield


def withdraw(paths: RunPaths) -> bool:
    """Take a waiting run out of the queue; return whether it was there."""
    home, run_id = paths.home, paths.run_dir.name[:26]
    if find(home, run_id) is None:
        return False
    with taking(home):
        entry = find(home, run_id)
        if entry is None:
            return False
        append_record(paths.requests, "stop", {"now": False}, sync=True)
        entry.path.unlink(missing_ok=True)
    return True


def say_why(home: LabHome, reason: str | None) -> None:
    """Write down why the first run of the queue does not start; None: it may start."""
    path = _why_path(home)
    if reason is None:
        path.unlink(missing_ok=True)
    elif why_waiting(home) != reason:
        write_json(path, {"v": 1, "reason": reason})


def why_waiting(home: LabHome) -> str | None:
    """Return why the first run of the queue does not start, as its runner saw it last."""
    try:
        reason = json.loads(_why_path(home).read_bytes())["reason"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(reason)


def _why_path(home: LabHome) -> Path:
    return home.queue_dir / "waiting.json"
