"""The queue with real processes: order, places, kill -9 of its runner, leases that outlive it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

import pytest

from runs.errors import UsageError
from runs.log import append_record, read_log
from runs.paths import LabHome, RunPaths
from runs.scheduling import queue
from runs.scheduling.leases import holders
from runs.scheduling.queue import enqueue
from runs.scheduling.queue_runner import ensure_runner, has_runner
from runs.supervision.process import identify
from runs.supervision.requests import request_stop
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
from tests.sweep.conftest import kill_runner, runner_pid

SLOW = {"base": {"steps": 400, "step_s": 0.05}}
SHORT = {"base": {"steps": 2}}


def queued(home: LabHome, stages: Mapping[str, Mapping[str, Any]], priority: int = 0) -> RunPaths:
    paths = make_run(home, stages)
    enqueue(paths, num_gpus=0, priority=priority)
    return paths


def started_s(paths: RunPaths) -> float:
    return min(record.t for record in read_log(paths.control) if record.kind == "supervisor")


def test_positions_follow_priority_then_arrival(home: LabHome) -> None:
    first, second = queued(home, SHORT), queued(home, SHORT)
    urgent = queued(home, SHORT, priority=5)
    positions = [load_run(paths.run_dir).position for paths in (urgent, first, second)]
    assert positions == [1, 2, 3]
    assert load_run(second.run_dir).state == "queued"


def test_runs_start_one_after_the_other_and_no_runner_is_left(home: LabHome) -> None:
    runs = [queued(home, SHORT), queued(home, SHORT, priority=1)]
    ensure_runner(home)
    for paths in runs:
        wait_for_state(paths, "finished")
    assert started_s(runs[1]) < started_s(runs[0])
    wait_for(lambda: not has_runner(home), "the runner to leave")
    assert queue.entries(home) == []


def test_runner_killed_at_work_loses_nothing_and_starts_nothing_twice(home: LabHome) -> None:
    busy, waiting = queued(home, SLOW), queued(home, SHORT)
    ensure_runner(home)
    wait_for_step(busy, "base", 2)
    runner_pid(home)
    assert kill_runner(home)
    assert load_run(busy.run_dir).state == "running"
    assert load_run(waiting.run_dir).position == 1
    ensure_runner(home)
    runner_pid(home)
    request_stop(busy.run_dir)
    wait_for_state(waiting, "finished")
    assert len([r for r in read_log(busy.requests) if r.kind == "spawned"]) == 1
    assert started_s(waiting) > started_s(busy)


def test_run_started_just_before_the_runner_died_is_not_started_again(home: LabHome) -> None:
    paths = queued(home, SHORT)
    # As a runner that is killed between starting a supervisor and taking out the entry.
    append_record(paths.requests, "spawned", {"pid": 0}, clock=lambda: time.time() + 1)
    other = queued(home, SHORT)
    ensure_runner(home)
    wait_for_state(other, "finished")
    assert [r.kind for r in read_log(paths.requests)] == ["enqueue", "spawned"]


def test_worker_that_outlives_its_supervisor_keeps_the_place(home: LabHome) -> None:
    paths = queued(home, SLOW)
    ensure_runner(home)
    wait_for_step(paths, "base", 2)
    run_id = paths.run_dir.name[:26]
    assert holders(home) == {"cpu0": run_id}
    os.kill(supervisor_pid(paths), signal.SIGKILL)
    wait_for(lambda: identify(supervisor_pid(paths)) is None, "the supervisor to be gone")
    assert holders(home) == {"cpu0": run_id}
    os.kill(worker_pid(paths, "base"), signal.SIGKILL)
    wait_for(lambda: holders(home) == {}, "the place to be free")


def test_run_started_by_hand_counts_as_one_of_those_at_once(home: LabHome) -> None:
    by_hand = start(make_run(home, SLOW))
    waiting = queued(home, SHORT)
    ensure_runner(home)
    wait_for(lambda: queue.why_waiting(home), "the reason to be written")
    view = load_run(waiting.run_dir)
    assert (view.state, view.position) == ("queued", 1)
    assert "at most 1 at once" in (view.problem or "")
    request_stop(by_hand.run_dir)
    wait_for_state(waiting, "finished")


def test_stop_takes_a_waiting_run_out_of_the_queue(home: LabHome) -> None:
    paths = queued(home, SHORT)
    request_stop(paths.run_dir)
    assert queue.entries(home) == []
    assert load_run(paths.run_dir).state == "stopped"
    assert ensure_runner(home) is None


def test_priority_out_of_range_is_refused(home: LabHome) -> None:
    with pytest.raises(UsageError, match="outside -100"):
        queued(home, SHORT, priority=101)
