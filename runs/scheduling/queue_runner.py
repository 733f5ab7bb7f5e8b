"""The queue runner: a detached process that starts waiting runs as places become free.

`python -m runs.queue_runner LAB_HOME`. One per lab home, by a lock; it ends when nothing waits any
more. Killed at any moment it leaves nothing behind but the queue itself, and the next command
that has to do with the queue starts another.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from runs.errors import Busy, LabError
from runs.launch.local import launch, spawn_detached
from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.scheduling import queue
from runs.scheduling.gpus import look_at_gpus
from runs.scheduling.leases import (
    FDS_ENV,
    Lease,
    Place,
    choose,
    cpu_room,
    gpu_room,
    holders,
    lease_env,
    release,
    try_lease,
)
from runs.scheduling.queue import Entry
from runs.settings import load_settings
from runs.supervision.control import fold_control
from runs.supervision.process import find_tagged
from runs.supervision.system import hold_lock

POLL_S = 0.5
# Whoever starts a runner may find another one that is about to leave.
_LOCK_WAIT_S = 3.0
_SUPERVISE = "runs.supervision.supervise"


def ensure_runner(home: LabHome) -> int | None:
    """Start a runner where runs wait and none is there; return its process id, else None."""
    if not queue.entries(home) or has_runner(home):
        return None
    env = {key: value for key, value in os.environ.items() if key != FDS_ENV}
    argv = [sys.executable, "-P", "-m", "runs.scheduling.queue_runner", str(home.root)]
    return spawn_detached(argv, env=env, log=home.queue_dir / "runner.log")


def has_runner(home: LabHome) -> bool:
    """Return whether a process runs the queue of this lab home."""
    try:
        with hold_lock(_lock(home), wait_s=0.0, what="the queue"):
            return False
    except Busy:
        return True


def run_queue(home: LabHome) -> None:
    """Start waiting runs, first come first served within a priority, until none waits."""
    while (waiting := queue.entries(home)) and home.queue_dir.is_dir():
        try:
            reason = _start_first(home, waiting[0])
        except (LabError, OSError) as error:
            reason = str(error)
        queue.say_why(home, reason)
        if reason is not None:
            time.sleep(POLL_S)
    queue.say_why(home, None)


def active_runs(home: LabHome) -> set[str]:
    """Return the runs of a lab home with a supervisor or a worker on this machine."""
    import psutil

    root = home.root.resolve()
    found = {
        tagged.run_id
        for tagged in find_tagged()
        if tagged.home is not None and Path(tagged.home).resolve() == root
    }
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if _SUPERVISE in words[:-1]:
            run_dir = Path(words[words.index(_SUPERVISE) + 1])
            if run_dir.parent.parent.resolve() == root:
                found.add(run_dir.name[:26])
    return found


def _start_first(home: LabHome, entry: Entry) -> str | None:
    """Start the run at the head of the queue, or return why it has to wait."""
    run_dir = next(home.runs_dir.glob(f"{entry.run_id}-*"), None)
    if run_dir is None or _was_started(RunPaths(run_dir), entry):
        entry.path.unlink(missing_ok=True)
        return None
    chosen = _places(home, entry.num_gpus)
    if isinstance(chosen, str):
        return chosen
    leases = _take(home, chosen, entry.run_id)
    if leases is None:
        return "another process has just taken the place"
    try:
        with queue.taking(home):
            if entry.path.exists():
                for lease in leases:
                    os.set_inheritable(lease.fd, True)
                launch(RunPaths(run_dir), more_env=lease_env(leases))
                entry.path.unlink(missing_ok=True)
    finally:
        release(leases)
    return None


def _was_started(paths: RunPaths, entry: Entry) -> bool:
    # The runner before this one may have been killed between starting a run and saying so.
    spawned = [record.t for record in read_log(paths.requests) if record.kind == "spawned"]
    supervisor_s = fold_control(read_log(paths.control)).supervisor_s or 0.0
    return max([supervisor_s, *spawned]) > entry.enqueued_s


def _places(home: LabHome, num_gpus: int) -> Sequence[Place] | str:
    settings = load_settings(home, os.environ).queue
    held: Mapping[str, str] = holders(home)
    if num_gpus:
        return choose(gpu_room(settings, held, look_at_gpus()), num_gpus)
    return choose(cpu_room(settings, held, active_runs(home)), 1)


def _take(home: LabHome, places: Sequence[Place], run_id: str) -> list[Lease] | None:
    leases: list[Lease] = []
    for place in places:
        lease = try_lease(home, place.name, run_id, gpu=place.gpu)
        if lease is None:
            release(leases)
            return None
        leases.append(lease)
    return leases


def _lock(home: LabHome) -> Path:
    return home.queue_dir / "runner.lock"


def main(argv: list[str]) -> int:
    """Run the queue of the lab home in argv[0] until nothing waits; return an exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # What it starts belongs to nobody here: the kernel collects it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    home = LabHome(Path(argv[0]).absolute())
    try:
        with hold_lock(_lock(home), wait_s=_LOCK_WAIT_S, what="the queue"):
            run_queue(home)
    except Busy:
        return 0
    except LabError as error:
        sys.stderr.write(f"queue: {error}\n")
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
