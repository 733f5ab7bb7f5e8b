"""`runs adopt` and `runs reap`, typed by a person whose supervisor died."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from runs.paths import LabHome, RunPaths
from runs.supervision.process import identify
from runs.views.query import load_run
from tests.builders import build_finished_run
from tests.cli.conftest import Labcli
from tests.runs.builders import (
    kill_everything,
    make_run,
    start,
    supervisor_pid,
    wait_for,
    wait_for_step,
    worker_pid,
)


@pytest.fixture
def orphaned(home: LabHome) -> Iterator[RunPaths]:
    """A run whose supervisor was killed, and whose worker goes on."""
    paths = start(make_run(home, {"base": {"steps": 2000, "step_s": 0.05}}))
    wait_for_step(paths, "base", 1)
    os.kill(supervisor_pid(paths), signal.SIGKILL)
    wait_for(lambda: load_run(paths.run_dir).problem, "the missing supervisor")
    yield paths
    kill_everything(home)


def test_orphan_is_listed_adopted_and_then_no_orphan_any_more(
    labcli: Labcli, orphaned: RunPaths
) -> None:
    worker = worker_pid(orphaned, "base")
    (found,) = json.loads(labcli("runs", "reap", "--dry-run", "--json").out)
    slug = orphaned.run_dir.name[27:]
    assert (found["pid"], found["run"], found["result"]) == (worker, slug, "found")
    assert "toy_worker.py" in found["command"]
    adopted = labcli("runs", "adopt", "last", "--detach")
    assert (adopted.code, adopted.out) == (0, f"{slug}\n")
    left = labcli("runs", "reap", "--json")
    assert json.loads(left.out) == [] and identify(worker) is not None


def test_reaped_orphan_ends_with_a_checkpoint(labcli: Labcli, orphaned: RunPaths) -> None:
    worker = worker_pid(orphaned, "base")
    result = labcli("runs", "reap")
    assert result.code == 0
    assert [line.split()[:3] for line in result.out.splitlines()[1:]] == [
        [str(worker), orphaned.run_dir.name[27:], "ended"]
    ]
    assert identify(worker) is None and load_run(orphaned.run_dir).state == "stopped"


def test_reap_without_orphans_says_so_and_gives_back_nothing(labcli: Labcli) -> None:
    result = labcli("runs", "reap")
    assert (result.code, result.out) == (0, "")
    assert "nothing to do" in result.err


def test_finished_run_has_nothing_to_adopt(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home)
    result = labcli("runs", "adopt", "last")
    assert result.code == 2
    assert "is finished and has no worker left to take over" in result.err


def test_restart_after_a_hang_needs_restarts(labcli: Labcli) -> None:
    result = labcli("run", "base", "--on-stall", "restart")
    assert result.code == 2 and "--retries 3" in result.err
