"""How long a supervisor takes from its own start to the start of the first worker.

Measured on real runs whose worker is a Python that ends at once: the time is the supervisor's
alone. Both ends are read from the run's logs, where the supervisor itself wrote them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runs.create import create_run
from runs.errors import LabError
from runs.launch.local import launch
from runs.log import LogRecord, read_log
from runs.paths import LabHome, RunPaths
from runs.supervision.process import identity_from, is_alive

# Ends before anything is imported; the supervisor takes it for a stage that crashed.
_WORKER = ("-S", "-c", "pass")
_LIMIT_S = 60.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchTimes:
    """Seconds from the command's start of a supervisor to the worker's start, over `num` runs."""

    num: int
    median_s: float
    max_s: float


def measure_launch(num: int = 10, *, clock: Callable[[], float] = time.monotonic) -> LaunchTimes:
    """Launch `num` runs one after another in a lab home of their own and time each.

    Raises:
        LabError: a supervisor did not start its worker within a minute.
    """
    with tempfile.TemporaryDirectory(prefix="labcli-launch-") as root:
        home = LabHome(Path(root))
        times_s = [_one(home, clock) for _ in range(num)]
    return LaunchTimes(num=num, median_s=statistics.median(times_s), max_s=max(times_s))


def _one(home: LabHome, clock: Callable[[], float]) -> float:
    stage = {"stage": "tok", "config": {}, "config_hash": "", "inputs": {}}
    plan = {"stages": [stage], "device": "cpu"}
    paths = create_run(home, plan=plan, recipe="launch", preset="cpu", worker=_WORKER)
    launch(paths)
    asked = _await(paths.requests, "launch", clock)
    started = _await(paths.control, "stage", clock)
    _await_end(paths, clock)
    return started.t - asked.t


def _await(path: Path, kind: str, clock: Callable[[], float]) -> LogRecord:
    deadline = clock() + _LIMIT_S
    while clock() < deadline:
        found = [record for record in read_log(path) if record.kind == kind]
        if found:
            return found[0]
        time.sleep(_POLL_S)
    raise LabError(f"no {kind!r} in {path} within {_LIMIT_S:.0f} s; is this machine overloaded?")


def _await_end(paths: RunPaths, clock: Callable[[], float]) -> None:
    # The next launch must not share the machine with what follows this run.
    supervisor = identity_from(_await(paths.control, "supervisor", clock).data)
    deadline = clock() + _LIMIT_S
    while supervisor is not None and is_alive(supervisor) and clock() < deadline:
        time.sleep(_POLL_S)
