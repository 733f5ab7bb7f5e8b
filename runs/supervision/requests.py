"""What people ask of a run: to stop, to go on, to be taken over.

A request is a line that the supervisor reads. Stop requests count from the last launch on, so
that an old one cannot stop a resumed run.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runs.errors import Busy, LabError, UsageError
from runs.launch.local import launch
from runs.log import LogRecord, append_record, read_log
from runs.paths import RunPaths
from runs.record import load_record
from runs.scheduling.queue import withdraw
from runs.supervision.control import fold_control
from runs.supervision.process import ProcessIdentity, find_family, is_alive, liveness, send_signal
from runs.supervision.ranks import ask_for_ranks
from runs.views.query import load_run
from runs.views.run_view import RunView
from runs.views.states import ACTIVE, ENDED, HEARTBEAT_LIMIT_S

ORPHAN_WAIT_S = 120.0
# A supervisor whose run has ended still brings the summary and the registry up to date.
LEAVING_WAIT_S = 130.0
# One that was just killed stays visible for a moment.
_DYING_WAIT_S = 0.5
_POLL_S = 0.1


def pending_stop(records: Sequence[LogRecord]) -> LogRecord | None:
    """Return the newest stop request that belongs to the present launch, or None."""
    stop = None
    for record in records:
        if record.kind == "launch":
            stop = None
        elif record.kind == "stop":
            stop = record
    return stop


def wants_retry(records: Sequence[LogRecord]) -> bool:
    """Return whether somebody asks for a restart now, without the wait before it."""
    return any(record.kind == "retry" for record in records)


def request_stop(run_dir: Path, *, now: bool = False) -> None:
    """Ask a run to stop after a checkpoint; `now` kills its processes instead of waiting.

    Without a supervisor the processes that are left are told directly. A run that waits in the
    queue leaves it.

    Raises:
        UsageError: the run is not active.
    """
    view = load_run(run_dir)
    if view.state not in ACTIVE:
        raise UsageError(f"run {view.slug} is not running: it is {view.state}")
    if withdraw(RunPaths(run_dir)):
        return
    if not append_record(RunPaths(run_dir).requests, "stop", {"now": now}, sync=True):
        raise LabError(f"cannot write {RunPaths(run_dir).requests}; check the disk")
    if _supervisor(run_dir) is None:
        number = signal.SIGKILL if now else signal.SIGTERM
        for orphan in _orphans(run_dir, view):
            send_signal(orphan, number)


def resume(
    run_dir: Path,
    *,
    nproc: int | None = None,
    orphan_wait_s: float = ORPHAN_WAIT_S,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Start a supervisor that opens the next attempt of the unfinished stage; return its pid.

    The stages that train a model run on `nproc` ranks from then on, where that is given. A worker
    that outlived its supervisor is first told to checkpoint and end, and waited for. A supervisor
    that waits before a restart of its own is told to wait no longer.

    Raises:
        UsageError: the run is finished.
        Busy: it has a live supervisor, here or on another machine, or a worker that will not end.
    """
    view = load_run(run_dir)
    load_record(run_dir)
    if view.state == "finished":
        raise UsageError(f"run {view.slug} is finished; there is nothing to resume")
    waiting = _waiting_supervisor(run_dir)
    if waiting is not None and nproc is not None:
        raise Busy(
            f"run {view.slug} waits for a restart on as many ranks as before; "
            f"stop it first: labcli runs stop {view.slug}"
        )
    if waiting is not None:
        append_record(RunPaths(run_dir).requests, "retry", {}, sync=True)
        return waiting.pid
    _await_supervisor(run_dir, view, clock, pause)
    orphans = _orphans(run_dir, view)
    for orphan in orphans:
        send_signal(orphan, signal.SIGTERM)
    deadline = clock() + orphan_wait_s
    while any(map(is_alive, orphans)):
        if clock() > deadline:
            pids = ", ".join(str(orphan.pid) for orphan in orphans if is_alive(orphan))
            raise Busy(
                f"process {pids} of run {view.slug} lost its supervisor and has not ended in "
                f"{orphan_wait_s:.0f} s; wait, or kill it with: labcli runs stop {view.slug} --now"
            )
        pause(_POLL_S)
    if nproc is not None:
        ask_for_ranks(run_dir, nproc)
    return launch(RunPaths(run_dir))


def adopt(run_dir: Path) -> int:
    """Start a supervisor that takes over a worker whose own is gone; return its pid.

    The worker goes on untouched; the stages after it follow as planned.

    Raises:
        Busy: the run has a live supervisor.
        UsageError: no worker of the run is left to take over.
    """
    view = load_run(run_dir)
    load_record(run_dir)
    supervisor = _supervisor(run_dir)
    if supervisor is not None:
        raise Busy(
            f"run {view.slug} is supervised by process {supervisor.pid}; there is nothing to adopt"
        )
    control = fold_control(read_log(RunPaths(run_dir).control))
    left = [entry.worker for entry in control.stages.values() if entry.exit is None]
    if not any(worker is not None and is_alive(worker) for worker in left):
        then = "" if view.state == "finished" else f"; go on with: labcli runs resume {view.slug}"
        raise UsageError(
            f"run {view.slug} is {view.state} and has no worker left to take over{then}"
        )
    return launch(RunPaths(run_dir), adopting=True)


def _waiting_supervisor(run_dir: Path) -> ProcessIdentity | None:
    word = fold_control(read_log(RunPaths(run_dir).control)).state
    return _supervisor(run_dir) if word == "waiting" else None


def _await_supervisor(
    run_dir: Path, view: RunView, clock: Callable[[], float], pause: Callable[[float], None]
) -> None:
    began_s = clock()
    while (supervisor := _supervisor(run_dir)) is not None:
        word = fold_control(read_log(RunPaths(run_dir).control)).state
        limit_s = LEAVING_WAIT_S if word in ENDED else _DYING_WAIT_S
        if clock() - began_s > limit_s:
            raise Busy(
                f"run {view.slug} is supervised by process {supervisor.pid}; "
                f"stop it first: labcli runs stop {view.slug}"
            )
        pause(_POLL_S)


def _supervisor(run_dir: Path) -> ProcessIdentity | None:
    control = fold_control(read_log(RunPaths(run_dir).control))
    identity = control.supervisor
    if identity is None:
        return None
    match liveness(identity):
        case "alive":
            return identity
        case "elsewhere":
            age_s = time.time() - (control.last_s or 0.0)
            return identity if control.state is None and age_s < HEARTBEAT_LIMIT_S else None
    return None


def _orphans(run_dir: Path, view: RunView) -> list[ProcessIdentity]:
    control = fold_control(read_log(RunPaths(run_dir).control))
    workers = [entry.worker for entry in control.stages.values() if entry.worker is not None]
    known = {identity for identity in workers if is_alive(identity)}
    return sorted(known | set(find_family(view.run_id)), key=lambda identity: identity.pid)
