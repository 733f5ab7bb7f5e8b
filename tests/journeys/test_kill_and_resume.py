"""kill -9 of the worker or of everything, in the middle of base, then `labcli runs resume`.

Real supervisor, real worker, real training; the world is small and the run is short.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runs.events import EventTail
from runs.launch.local import launch
from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.supervision.process import find_family, send_signal
from runs.views.query import load_run
from tests.core.builders import make_world
from tests.journeys.training import make_training_run
from tests.runs.builders import wait_for

STEPS = 120


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus and a tokenizer."""
    root = tmp_path_factory.mktemp("world")
    make_world(root)
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHome]:
    """A lab home whose processes are ended with the tests."""
    home = LabHome(tmp_path_factory.mktemp("home"))
    yield home
    for path in home.runs_dir.glob("*-*"):
        for identity in find_family(path.name.split("-", maxsplit=1)[0]):
            send_signal(identity, signal.SIGKILL)


def start(home: LabHome, world: Path) -> RunPaths:
    """Create and launch a run of the base stage alone."""
    paths = make_training_run(home, world, num_steps=STEPS, save_every=30)
    launch(paths)
    return paths


def losses(paths: RunPaths) -> dict[int, float]:
    """Return the loss of every step; a step that was made twice must have lost the same."""
    found: dict[int, float] = {}
    for file in sorted(paths.events_dir.glob("base.a*.r0.jsonl")):
        for record in EventTail(file).read():
            if record.kind == "step":
                step, loss = record.data["step"], record.data["metrics"]["loss"]
                assert found.get(step, loss) == loss
                found[step] = loss
    return found


def final_checkpoint(paths: RunPaths) -> bytes:
    """Return the weights of the last step."""
    last = paths.checkpoints_dir("base") / f"step_{STEPS:06d}"
    return (last / "model.safetensors").read_bytes()


def labcli(home: LabHome, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a labcli command as a user would."""
    code = "import sys; from labcli.app import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *args]
    env = {**os.environ, "LABCLI_HOME": str(home.root)}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def listed_state(home: LabHome) -> str:
    rows: list[dict[str, Any]] = json.loads(labcli(home, "runs", "list", "--json").stdout)
    return str(rows[0]["state"])


def worker_pid(paths: RunPaths) -> int:
    pids = [r.data["pid"] for r in read_log(paths.control) if "stage" in r.data and "pid" in r.data]
    return int(pids[-1])


def kill(paths: RunPaths, *, everything: bool) -> None:
    """Kill the worker; with `everything`, the supervisor first."""
    run_id = paths.run_dir.name.split("-", maxsplit=1)[0]
    family = find_family(run_id)
    worker = worker_pid(paths)
    assert worker in {identity.pid for identity in family}
    family.sort(key=lambda identity: identity.pid == worker)
    for identity in family:
        if everything or identity.pid == worker:
            send_signal(identity, signal.SIGKILL)


@pytest.fixture(scope="module")
def whole(home: LabHome, world: Path) -> RunPaths:
    """A run that nobody interrupted."""
    paths = start(home, world)
    wait_for(lambda: load_run(paths.run_dir).state == "finished", "the whole run", deadline_s=120)
    return paths


@pytest.mark.parametrize(
    ("kill_at", "everything"),
    [(15, False), (45, True), pytest.param(75, True, marks=pytest.mark.soak)],
)
def test_killed_run_is_seen_and_resumes_bit_for_bit(
    home: LabHome, world: Path, whole: RunPaths, kill_at: int, everything: bool
) -> None:
    paths = start(home, world)
    wait_for(lambda: len(losses(paths)) >= kill_at, f"step {kill_at}", deadline_s=60)
    kill(paths, everything=everything)
    wait_for(lambda: listed_state(home) in ("killed", "crashed"), "the state to turn")
    assert len(losses(paths)) < STEPS
    resumed = labcli(home, "runs", "resume", "last", "--detach")
    assert resumed.returncode == 0, resumed.stderr
    wait_for(lambda: load_run(paths.run_dir).state == "finished", "the end", deadline_s=90)
    assert losses(paths) == losses(whole)
    assert list(losses(whole)) == list(range(1, STEPS + 1))
    assert final_checkpoint(paths) == final_checkpoint(whole)
