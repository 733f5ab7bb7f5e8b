"""The supervisor with real processes: order, stop, kill -9 of either side, and resume."""

from __future__ import annotations

import os
import signal

import pytest

from runs.errors import Busy, UsageError
from runs.launch.local import launch
from runs.log import append_record, read_log
from runs.metrics.series import read_metrics
from runs.paths import LabHome, RunPaths
from runs.supervision.process import identify
from runs.supervision.requests import request_stop, resume
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


def launched_attempts(paths: RunPaths) -> list[tuple[str, int]]:
    return [
        (str(record.data["stage"]), int(record.data["attempt"]))
        for record in read_log(paths.control)
        if record.kind == "launch"
    ]


def test_stages_run_in_order_and_the_run_finishes(home: LabHome) -> None:
    paths = start(make_run(home, {"tok": {}, "base": {"steps": 5}, "mid": {}}))
    view = wait_for_state(paths, "finished")
    assert launched_attempts(paths) == [("tok", 1), ("base", 1), ("mid", 1)]
    assert [stage.state for stage in view.stages] == ["finished"] * 3
    assert view.stages[1].step == 5
    assert view.problem is None


def test_stage_is_settled_into_parquet_summary_and_registry(home: LabHome) -> None:
    paths = start(make_run(home))
    wait_for_state(paths, "finished")
    wait_for(home.registry.exists, "the registry")
    wait_for(paths.summary.exists, "the summary")
    wait_for(paths.metrics("base").exists, "the compacted metrics")
    assert list(read_metrics(paths.run_dir, "base")["loss"][0]) == [1, 2, 3]


def test_stop_lets_the_worker_checkpoint_and_resume_continues_there(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"steps": 30, "step_s": 0.05}, "mid": {}}))
    wait_for_step(paths, "base", 3)
    request_stop(paths.run_dir)
    stopped = wait_for_state(paths, "stopped")
    reached = stopped.stages[0].step
    assert reached is not None and 3 <= reached < 30
    resume(paths.run_dir)
    view = wait_for_state(paths, "finished")
    assert view.stages[0].attempt == 2
    assert view.stages[0].resumed_from == reached
    assert list(read_metrics(paths.run_dir, "base")["loss"][0]) == list(range(1, 31))
    assert launched_attempts(paths) == [("base", 1), ("base", 2), ("mid", 1)]


def test_sigterm_to_the_supervisor_is_a_graceful_stop(home: LabHome) -> None:
    paths = start(make_run(home, {"base": SLOW}))
    wait_for_step(paths, "base", 2)
    os.kill(supervisor_pid(paths), signal.SIGTERM)
    assert wait_for_state(paths, "stopped").stages[0].state == "stopped"


def test_hangup_does_not_disturb_the_supervisor(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"steps": 20, "step_s": 0.02}}))
    wait_for_step(paths, "base", 1)
    os.kill(supervisor_pid(paths), signal.SIGHUP)
    wait_for_state(paths, "finished")


def test_stop_now_kills_a_worker_that_does_not_listen(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {**SLOW, "deaf": True}}))
    wait_for_step(paths, "base", 1)
    request_stop(paths.run_dir, now=True)
    assert wait_for_state(paths, "killed").stages[0].state == "killed"


def test_killed_worker_is_reported_within_five_seconds_and_resumes(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"steps": 40, "step_s": 0.05}}))
    wait_for_step(paths, "base", 3)
    os.kill(worker_pid(paths, "base"), signal.SIGKILL)
    view = wait_for_state(paths, "killed")
    assert view.problem is not None and "killed by signal 9" in view.problem
    resume(paths.run_dir)
    view = wait_for_state(paths, "finished")
    assert list(read_metrics(paths.run_dir, "base")["loss"][0]) == list(range(1, 41))


def test_worker_that_vanishes_has_crashed(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"vanish_at": 2}}))
    view = wait_for_state(paths, "crashed")
    assert view.stages[0].state == "crashed"
    assert view.problem is not None and "labcli runs resume" in view.problem


def test_failed_stage_ends_the_run_and_names_the_error(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"fail_at": 2}, "mid": {}}))
    view = wait_for_state(paths, "failed")
    assert [stage.state for stage in view.stages] == ["failed", "pending"]
    assert view.stages[0].error == "bad batch"


def test_budget_end_stops_the_run_in_that_state(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"end": "budget"}, "mid": {}}))
    assert wait_for_state(paths, "budget").stages[1].state == "pending"


def test_worker_survives_its_supervisor_and_the_run_says_so(home: LabHome) -> None:
    paths = start(make_run(home, {"base": SLOW}))
    wait_for_step(paths, "base", 2)
    os.kill(supervisor_pid(paths), signal.SIGKILL)
    wait_for(lambda: load_run(paths.run_dir).problem, "the missing supervisor")
    view = load_run(paths.run_dir)
    assert view.state == "running"
    assert view.problem is not None and "supervisor is gone" in view.problem
    reached = view.stages[0].step or 0
    wait_for_step(paths, "base", reached + 2)


def test_resume_adopts_nothing_but_lets_an_orphan_checkpoint_first(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"steps": 60, "step_s": 0.05}}))
    wait_for_step(paths, "base", 2)
    orphan = worker_pid(paths, "base")
    os.kill(supervisor_pid(paths), signal.SIGKILL)
    resume(paths.run_dir)
    assert identify(orphan) is None
    view = wait_for_state(paths, "finished")
    assert view.stages[0].attempt == 2
    assert list(read_metrics(paths.run_dir, "base")["loss"][0]) == list(range(1, 61))


def test_resume_refuses_when_an_orphan_does_not_end(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {**SLOW, "deaf": True}}))
    wait_for_step(paths, "base", 1)
    os.kill(supervisor_pid(paths), signal.SIGKILL)
    with pytest.raises(Busy, match=str(worker_pid(paths, "base"))):
        resume(paths.run_dir, orphan_wait_s=0.3)


def test_stop_reaches_a_worker_that_lost_its_supervisor(home: LabHome) -> None:
    paths = start(make_run(home, {"base": SLOW, "mid": {}}))
    wait_for_step(paths, "base", 2)
    os.kill(supervisor_pid(paths), signal.SIGKILL)
    wait_for(lambda: load_run(paths.run_dir).problem, "the missing supervisor")
    request_stop(paths.run_dir)
    view = wait_for_state(paths, "stopped")
    assert [stage.state for stage in view.stages] == ["stopped", "pending"]


def test_run_crashed_when_supervisor_and_worker_are_both_killed(home: LabHome) -> None:
    paths = start(make_run(home, {"base": SLOW, "mid": {}}))
    wait_for_step(paths, "base", 2)
    worker = worker_pid(paths, "base")
    os.kill(supervisor_pid(paths), signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    view = wait_for_state(paths, "crashed")
    assert [stage.state for stage in view.stages] == ["crashed", "pending"]


def test_resume_is_refused_while_a_supervisor_lives(home: LabHome) -> None:
    paths = start(make_run(home, {"base": SLOW}))
    wait_for_step(paths, "base", 1)
    with pytest.raises(Busy, match=str(supervisor_pid(paths))):
        resume(paths.run_dir)


def test_second_supervisor_of_a_run_leaves_it_alone(home: LabHome) -> None:
    paths = start(make_run(home, {"base": SLOW}))
    wait_for_step(paths, "base", 1)
    start(paths)
    wait_for(lambda: "is held by" in paths.supervisor_log.read_text(), "the second one to leave")
    assert len([r for r in read_log(paths.control) if r.kind == "supervisor"]) == 1
    assert load_run(paths.run_dir).state == "running"


def test_finished_run_cannot_be_resumed_or_stopped(home: LabHome) -> None:
    paths = start(make_run(home, {"tok": {}}))
    wait_for_state(paths, "finished")
    with pytest.raises(UsageError, match="finished"):
        resume(paths.run_dir)
    with pytest.raises(UsageError, match="not running"):
        request_stop(paths.run_dir)


def test_old_stop_request_does_not_stop_a_resumed_run(home: LabHome) -> None:
    paths = make_run(home, {"base": {}})
    append_record(paths.requests, "stop", {"now": False})
    start(paths)
    wait_for_state(paths, "finished")


def test_two_runs_started_at_once_do_not_touch_each_other(home: LabHome) -> None:
    first = make_run(home, {"base": {"steps": 20, "step_s": 0.02}, "mid": {}})
    second = make_run(home, {"base": SLOW, "mid": {}})
    start(first)
    start(second)
    wait_for_step(second, "base", 2)
    request_stop(second.run_dir)
    assert wait_for_state(second, "stopped").stages[1].state == "pending"
    assert wait_for_state(first, "finished").run_id != load_run(second.run_dir).run_id
    pids = [set(read_metrics(paths.run_dir, "base")["pid"][1]) for paths in (first, second)]
    assert len(pids[0]) == len(pids[1]) == 1 and pids[0] != pids[1]


def test_run_that_was_launched_and_never_spoke_has_crashed(home: LabHome) -> None:
    paths = make_run(home)
    assert load_run(paths.run_dir).state == "queued"
    paths.supervisor_lock.mkdir()
    launch(paths)
    view = wait_for_state(paths, "crashed")
    assert view.problem is not None and "supervisor.log" in view.problem
