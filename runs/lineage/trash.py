"""Deleting runs so that they can be brought back, and for good.

The trash is a lab home of its own inside the lab home: a run moves there whole, by one rename,
and every function that lists or resolves runs works on it as on the other.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runs.errors import Busy, LabError, NotFound
from runs.files import sync_dir
from runs.log import append_record, read_log
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.refs import resolve_run
from runs.supervision.control import fold_control
from runs.supervision.system import hold_lock
from runs.views.presence import presence
from runs.views.query import load_run, run_dirs
from runs.views.states import ACTIVE

_BLOCK_BYTES = 512
# A supervisor whose run has ended still brings the summary and the registry up to date.
LEAVING_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trashed:
    """A deleted run: when that was, in Unix seconds, and what it takes on disk."""

    path: Path
    deleted_s: float | None
    disk_bytes: int


def trash_home(home: LabHome) -> LabHome:
    """Return the lab home that holds the deleted runs of `home`."""
    return LabHome(home.trash_dir)


def trash(run_dir: Path) -> Path:
    """Move a run into the trash and return where it lies now.

    Raises:
        Busy: one of its processes runs.
    """
    home = RunPaths(run_dir).home
    target = trash_home(home).runs_dir / run_dir.name
    with _alone(run_dir):
        _move(run_dir, target, "delete")
    return target


def restore(home: LabHome, text: str) -> Path:
    """Bring a deleted run back and return where it lies now.

    Raises:
        NotFound: no deleted run matches; the closest names are given.
    """
    if not run_dirs(trash_home(home)):
        raise NotFound(f"the trash of {home.root} is empty; there is nothing to restore")
    run_dir = resolve_run(trash_home(home), text)
    target = home.runs_dir / run_dir.name
    _move(run_dir, target, "restore")
    return target


def purge(run_dir: Path) -> int:
    """Delete a run for good, wherever it lies, and return the bytes that its disk space had.

    Raises:
        Busy: one of its processes runs.
    """
    with _alone(run_dir):
        freed_bytes = disk_bytes(run_dir)
        # Renamed first: what cannot be removed whole is no run any more, and nobody lists it.
        doomed = run_dir.with_name(f".{run_dir.name}.purged")
        try:
            run_dir.rename(doomed)
            shutil.rmtree(doomed)
        except OSError as error:
            raise LabError(f"cannot delete {run_dir}: {error.strerror}") from None
    return freed_bytes


def list_trash(home: LabHome) -> list[Trashed]:
    """Return the deleted runs, the newest run first."""
    return [
        Trashed(path=path, deleted_s=_deleted_s(path), disk_bytes=disk_bytes(path))
        for path in run_dirs(trash_home(home))
    ]


def children(home: LabHome, run_ids: Iterable[str]) -> list[str]:
    """Return the slugs of runs that were built on one of `run_ids` and are none of them."""
    wanted = set(run_ids)
    found = []
    for path in run_dirs(home):
        if path.name[:26] in wanted:
            continue
        try:
            record = load_record(path)
        except LabError:
            continue
        if wanted & set(record.parents):
            found.append(record.slug)
    return found


def disk_bytes(directory: Path) -> int:
    """Return what a directory takes on disk; a file with several names in it counts once."""
    total, seen = 0, set()
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                status = os.lstat(os.path.join(parent, name))  # noqa: PTH118 (many files)
            except OSError:
                continue
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * _BLOCK_BYTES
    return total


@contextmanager
def _alone(run_dir: Path) -> Iterator[None]:
    """Hold off a supervisor, so that none starts while its run is moved."""
    _refuse_active(run_dir)
    what = f"run {run_dir.name[27:]}"
    with hold_lock(RunPaths(run_dir).supervisor_lock, wait_s=LEAVING_WAIT_S, what=what):
        _refuse_active(run_dir)
        yield


def _refuse_active(run_dir: Path) -> None:
    view = load_run(run_dir)
    if view.state not in ACTIVE:
        return
    if view.state == "queued":
        here = presence(run_dir, fold_control(read_log(RunPaths(run_dir).control)))
        if here.supervisor != "alive" and here.launch != "alive":
            # Created, and never launched: nobody will ever work on it.
            return
    raise Busy(f"run {view.slug} is {view.state}; stop it first: labcli runs stop {view.slug}")


def _move(run_dir: Path, target: Path, kind: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # The record goes along, so that a run in the trash says since when it lies there.
        append_record(RunPaths(run_dir).annotations, kind, {}, sync=True)
        run_dir.rename(target)
        sync_dir(target.parent)
        sync_dir(run_dir.parent)
    except OSError as error:
        raise LabError(f"cannot move {run_dir} to {target}: {error.strerror}") from None


def _deleted_s(run_dir: Path) -> float | None:
    deleted = [r.t for r in read_log(RunPaths(run_dir).annotations) if r.kind == "delete"]
    return deleted[-1] if deleted else None
