"""Builders for lab homes and runs, and waiting with a deadline instead of sleeping."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from runs.create import create_run
from runs.events import Event, EventLog
from runs.launch.local import launch
from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.supervision.process import find_family, identity_from, send_signal
from runs.views.query import load_run
from runs.views.run_view import RunView

TOY_WORKER = (str(Path(__file__).parent / "toy_worker.py"),)
DEADLINE_S = 60.0


def toy_plan(stages: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a plan with the given stages and their configs."""
    return {
        "stages": [
            {"stage": name, "config": dict(config), "config_hash": "toy", "inputs": {}}
            for name, config in stages.items()
        ],
        "tokens": 0,
    }


def make_run(
    home: LabHome,
    stages: Mapping[str, Mapping[str, Any]] | None = None,
    **fields: Any,
) -> RunPaths:
    """Create a run of toy stages that nobody has started."""
    plan = toy_plan(stages or {"tok": {}, "base": {}})
    settings: dict[str, Any] = {"recipe": "toy", "preset": "cpu", "worker": TOY_WORKER, **fields}
    return create_run(home, plan=plan, **settings)


def write_events(paths: RunPaths, stage: str, attempt: int, *events: Event) -> None:
    """Append events to the log of rank 0."""
    with EventLog(paths.events(stage, attempt)) as log:
        for event in events:
            assert log.append(event)


def wait_for(condition: Callable[[], object], what: str, *, deadline_s: float = DEADLINE_S) -> None:
    """Return as soon as the condition holds; fail the test at the deadline."""
    end = time.monotonic() + deadline_s
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"waited {deadline_s} s for {what}"
        tick.wait(0.05)


def wait_for_state(paths: RunPaths, *states: str, deadline_s: float = DEADLINE_S) -> RunView:
    """Return the view of a run once it is in one of the states."""

    def is_there() -> bool:
        return load_run(paths.run_dir).state in states

    wait_for(is_there, f"{paths.run_dir.name} to be {' or '.join(states)}", deadline_s=deadline_s)
    return load_run(paths.run_dir)


def wait_for_step(paths: RunPaths, stage: str, step: int) -> None:
    """Return once a stage has reported a step, or a later one."""

    def is_there() -> bool:
        views = {view.stage: view for view in load_run(paths.run_dir).stages}
        return (views[stage].step or 0) >= step

    wait_for(is_there, f"{stage} to reach step {step}")


def supervisor_pid(paths: RunPaths) -> int:
    """Return the process id of the newest supervisor of a run."""
    records = [record for record in read_log(paths.control) if record.kind == "supervisor"]
    return int(records[-1].data["pid"])


def worker_pid(paths: RunPaths, stage: str) -> int:
    """Return the process id of the newest worker of a stage."""
    records = [
        record
        for record in read_log(paths.control)
        if record.kind == "stage" and record.data["stage"] == stage
    ]
    return int(records[-1].data["pid"])


def start(paths: RunPaths) -> RunPaths:
    """Launch the supervisor of a run and wait until it has spoken."""
    launch(paths)
    wait_for(lambda: paths.control.exists(), "the supervisor to start")
    return paths


def kill_everything(home: LabHome) -> None:
    """Kill the supervisors and workers of every run in a lab home, and wait for their end."""
    for run_dir in home.runs_dir.glob("[0-9A-Z]*"):
        paths = RunPaths(run_dir)
        records = [*read_log(paths.control), *read_log(paths.requests)]
        for record in records:
            identity = identity_from(record.data)
            if identity is not None and record.kind in ("supervisor", "spawned", "stage"):
                send_signal(identity, signal.SIGKILL)
        run_id = run_dir.name[:26]
        for member in find_family(run_id):
            send_signal(member, signal.SIGKILL)
        wait_for(partial(_has_no_family, run_id), "the workers to be gone")


def _has_no_family(run_id: str) -> bool:
    return not find_family(run_id)
