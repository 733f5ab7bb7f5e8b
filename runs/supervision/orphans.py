"""Processes of runs that nobody supervises any more: found by their tags, and ended.

Only what carries the tag of a run of this lab home is ever looked at, and nothing of a run whose
supervisor lives, is on its way, or is on another machine.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.supervision.control import fold_control
from runs.supervision.process import (
    ProcessIdentity,
    command_line,
    find_tagged,
    is_alive,
    send_signal,
)
from runs.views.presence import presence
from runs.views.query import run_dirs

GRACE_S = 120.0
_POLL_S = 0.1

Fate = Literal["found", "ended", "killed", "alive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A process that was started for a run; `run` is the slug, or None when the run is gone."""

    run_id: str
    run: str | None
    identity: ProcessIdentity
    command: str


def find_orphans(home: LabHome) -> list[Orphan]:
    """Return the processes of runs of this lab home that have no supervisor, oldest run first."""
    directories = {path.name[:26]: path for path in run_dirs(home)}
    found = []
    is_kept: dict[str, bool] = {}
    for tagged in find_tagged():
        if tagged.home is None or Path(tagged.home).resolve() != home.root.resolve():
            continue
        run_dir = directories.get(tagged.run_id)
        if tagged.run_id not in is_kept:
            is_kept[tagged.run_id] = run_dir is not None and _is_supervised(run_dir)
        if not is_kept[tagged.run_id]:
            orphan = Orphan(
                run_id=tagged.run_id,
                run=run_dir.name[27:] if run_dir else None,
                identity=tagged.identity,
                command=command_line(tagged.identity.pid),
            )
            found.append(orphan)
    return sorted(found, key=lambda orphan: (orphan.run_id, orphan.identity.pid))


def end_orphans(
    orphans: Sequence[Orphan],
    *,
    grace_s: float = GRACE_S,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> dict[int, Fate]:
    """End processes and return what became of each, by process id.

    Each is asked first, so that a worker can write a checkpoint; what is left after `grace_s`
    is killed.
    """
    for orphan in orphans:
        send_signal(orphan.identity, signal.SIGTERM)
    deadline = clock() + grace_s
    while any(is_alive(orphan.identity) for orphan in orphans) and clock() < deadline:
        pause(_POLL_S)
    fates: dict[int, Fate] = {}
    for orphan in orphans:
        was_killed = send_signal(orphan.identity, signal.SIGKILL)
        fates[orphan.identity.pid] = "killed" if was_killed else "ended"
    deadline = clock() + 1.0
    while any(is_alive(orphan.identity) for orphan in orphans) and clock() < deadline:
        pause(_POLL_S)
    # Not even SIGKILL ends a process that waits for a dead disk or a hung driver.
    stuck: dict[int, Fate] = {
        orphan.identity.pid: "alive" for orphan in orphans if is_alive(orphan.identity)
    }
    return {**fates, **stuck}


def _is_supervised(run_dir: Path) -> bool:
    control = fold_control(read_log(RunPaths(run_dir).control))
    here = presence(run_dir, control)
    return here.supervisor in ("alive", "elsewhere") or here.launch in ("alive", "elsewhere")
