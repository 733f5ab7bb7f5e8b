"""Workers that lost their supervisor: taken over by a new one, or found and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from runs.errors import Busy, UsageError
from runs.launch.local import launch
from runs.log import append_record, read_log
from runs.paths import LabHome, RunPaths
from runs.supervision.orphans import end_orphans, find_orphans
from runs.supervision.process import HOME_TAG, RUN_TAG, find_family, identify
from runs.supervision.requests import adopt, request_stop
from runs.views.query import load_run
from tests.runs.builders import (
    make_run,
    start,
    supervisor_pid,
    wait_for,
    wait_for_state,
    wait_for_step,
    worker_pid,
)

SLOW = {"steps": 400, "step_s": 0.05}


def orphaned(home: LabHome, stages: dict[str, Any]) -> RunPaths:
    """Return a run at step 2 of its first stage, whose supervisor was killed."""
    paths = start(make_run(home, stages))
    wait_for_step(paths, next(iter(stages)), 2)
    os.kill(supervisor_pid(paths), signal.SIGKILL)
    wait_for(lambda: load_run(paths.run_dir).problem, "the missing supervisor")
    return paths


def test_adopted_worker_goes_on_untouched_and_later_stages_follow(home: LabHome) -> None:
    paths = orphaned(home, {"base": {"steps": 30, "step_s": 0.05}, "mid": {}})
    worker = worker_pid(paths, "base")
    problem = load_run(paths.run_dir).problem
    assert problem is not None and "labcli runs adopt" in problem
    adopt(paths.run_dir)
    wait_for(lambda: load_run(paths.run_dir).problem is None, "the new supervisor")
    assert identify(worker) is not None
    view = wait_for_state(paths, "finished")
    assert [(stage.stage, stage.attempt) for stage in view.stages] == [("base", 1), ("mid", 1)]
    assert view.stages[0].resumed_from is None and view.stages[0].step == 30


def test_adopted_run_stops_after_a_checkpoint(home: LabHome) -> None:
    paths = orphaned(home, {"base": SLOW})
    adopt(paths.run_dir)
    wait_for(lambda: load_run(paths.run_dir).problem is None, "the new supervisor")
    request_stop(paths.run_dir)
    assert wait_for_state(paths, "stopped").stages[0].attempt == 1


def test_stop_that_was_asked_before_the_adoption_reaches_the_worker(home: LabHome) -> None:
    paths = orphaned(home, {"base": SLOW})
    worker = worker_pid(paths, "base")
    adopt(paths.run_dir)
    # The new supervisor finds this when it looks for the first time.
    assert append_record(paths.requests, "stop", {"now": False}, sync=True)
    view = wait_for_state(paths, "stopped")
    assert identify(worker) is None
    assert view.stages[0].attempt == 1


def test_death_of_an_adopted_worker_is_seen_within_five_seconds(home: LabHome) -> None:
    paths = orphaned(home, {"base": SLOW})
    adopt(paths.run_dir)
    wait_for(lambda: load_run(paths.run_dir).problem is None, "the new supervisor")
    os.kill(worker_pid(paths, "base"), signal.SIGKILL)
    wait_for_state(paths, "crashed")


def test_worker_that_dies_before_it_is_adopted_is_not_started_again(home: LabHome) -> None:
    paths = orphaned(home, {"base": SLOW})
    os.kill(worker_pid(paths, "base"), signal.SIGKILL)
    launch(paths, adopting=True)
    wait_for(lambda: read_log(paths.control)[-1].data.get("state") == "crashed", "the verdict")
    assert load_run(paths.run_dir).stages[0].attempt == 1


def test_run_with_a_supervisor_cannot_be_adopted(home: LabHome) -> None:
    paths = start(make_run(home, {"base": SLOW}))
    wait_for_step(paths, "base", 1)
    with pytest.raises(Busy, match=str(supervisor_pid(paths))):
        adopt(paths.run_dir)


def test_run_without_a_worker_cannot_be_adopted_but_resumed(home: LabHome) -> None:
    paths = orphaned(home, {"base": SLOW})
    os.kill(worker_pid(paths, "base"), signal.SIGKILL)
    wait_for_state(paths, "crashed")
    with pytest.raises(UsageError, match="labcli runs resume"):
        adopt(paths.run_dir)


@pytest.fixture
def stranger(home: LabHome) -> Iterator[subprocess.Popen[bytes]]:
    """A process of a run of another lab home."""
    env = {**os.environ, RUN_TAG: "0" * 26, HOME_TAG: str(home.root / "elsewhere")}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=env)
    yield child
    child.kill()
    child.wait()


def test_reap_ends_orphans_and_nothing_else(
    home: LabHome, stranger: subprocess.Popen[bytes]
) -> None:
    kept = start(make_run(home, {"base": SLOW}))
    wait_for_step(kept, "base", 1)
    lost = orphaned(home, {"base": SLOW})
    deaf = orphaned(home, {"base": {**SLOW, "deaf": True}})
    orphans = find_orphans(home)
    lost_pid, deaf_pid = worker_pid(lost, "base"), worker_pid(deaf, "base")
    assert {orphan.identity.pid for orphan in orphans} == {lost_pid, deaf_pid}
    assert {orphan.run for orphan in orphans} == {lost.run_dir.name[27:], deaf.run_dir.name[27:]}
    assert end_orphans(orphans, grace_s=1.0) == {lost_pid: "ended", deaf_pid: "killed"}
    assert wait_for_state(lost, "stopped").stages[0].state == "stopped"
    assert not find_family(lost.run_dir.name[:26]) and not find_family(deaf.run_dir.name[:26])
    assert load_run(kept.run_dir).state == "running"
    assert identify(worker_pid(kept, "base")) is not None
    assert stranger.poll() is None


def test_workers_of_a_deleted_run_are_orphans(home: LabHome) -> None:
    home.runs_dir.mkdir(parents=True)
    env = {**os.environ, RUN_TAG: "01ARZ3NDEKTSV4RRFFQ69G5FAV", HOME_TAG: str(home.root)}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=env)
    wait_for(lambda: len(find_orphans(home)) == 1, "the orphan")
    (orphan,) = find_orphans(home)
    assert (orphan.identity.pid, orphan.run) == (child.pid, None)
    assert end_orphans([orphan], grace_s=5.0) == {child.pid: "ended"}
    assert child.wait(timeout=30) == -signal.SIGTERM


def test_supervisor_that_finds_a_living_worker_starts_no_second_one(home: LabHome) -> None:
    paths = orphaned(home, {"base": {"steps": 30, "step_s": 0.05}})
    start(paths)
    wait_for_state(paths, "finished")
    launched = [record for record in read_log(paths.control) if record.kind == "launch"]
    assert len(launched) == 1
