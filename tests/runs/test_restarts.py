"""Restarts that a run was allowed: which ends are tried again, when, and when no more."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from runs.errors import UsageError
from runs.log import read_log
from runs.metrics.series import read_metrics
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.supervision.policy import Policy, policy_from
from runs.supervision.requests import request_stop, resume
from runs.supervision.restarts import BadEnd, NoRestart, Restart, Restarts
from tests.runs.builders import make_run, start, wait_for, wait_for_state, wait_for_step, worker_pid

EAGER = Policy(retries=3, backoff_s=0.1)


def attempts(paths: RunPaths) -> int:
    return sum(record.kind == "launch" for record in read_log(paths.control))


def test_nothing_is_restarted_by_default() -> None:
    assert Restarts(Policy(), step=0).decide(BadEnd(state="killed", step=9)) == NoRestart()


def test_wait_doubles_while_nothing_is_gained_and_is_short_again_after_progress() -> None:
    restarts = Restarts(Policy(retries=9, backoff_s=5.0), step=0)
    ends = [10, 10, 20, 20, 30]
    delays = []
    for step in ends:
        decision = restarts.decide(BadEnd(state="crashed", step=step))
        assert isinstance(decision, Restart)
        delays.append(decision.delay_s)
    assert delays == [5.0, 10.0, 5.0, 10.0, 5.0]


def test_wait_has_an_upper_bound() -> None:
    decision = Restarts(Policy(retries=1, backoff_s=1e6), step=0).decide(
        BadEnd(state="crashed", step=1)
    )
    assert decision == Restart(number=1, delay_s=300.0)


def test_two_restarts_that_came_no_further_are_the_last() -> None:
    restarts = Restarts(Policy(retries=9), step=40)
    same = BadEnd(state="crashed", step=40)
    assert isinstance(restarts.decide(same), Restart)
    assert isinstance(restarts.decide(same), Restart)
    last = restarts.decide(same)
    assert last == NoRestart(reason="it ended 3 times without getting past step 40")


def test_restarts_are_used_up_even_where_each_one_gets_further() -> None:
    restarts = Restarts(Policy(retries=2), step=0)
    decisions = [restarts.decide(BadEnd(state="killed", step=step)) for step in (1, 2, 3)]
    assert decisions[-1] == NoRestart(reason="its 2 restarts are used up")


@pytest.mark.parametrize("error_type", ["UsageError", "NotFound", "StageFailed", "LabError"])
def test_bad_input_is_never_tried_again(error_type: str) -> None:
    end = BadEnd(state="failed", step=5, error_type=error_type)
    decision = Restarts(EAGER, step=0).decide(end)
    assert decision == NoRestart(reason="the same input would fail again")


@pytest.mark.parametrize("state", ["stopped", "budget", "finished"])
def test_ends_that_were_meant_are_left_alone(state: Any) -> None:
    assert Restarts(EAGER, step=0).decide(BadEnd(state=state, step=5)) == NoRestart()


def test_policy_is_kept_with_the_run(home: LabHome) -> None:
    policy = Policy(retries=4, on_stall="restart", stall_min_s=7.5, backoff_s=0.5)
    assert load_record(make_run(home, policy=policy).run_dir).policy == policy
    assert policy_from({"retries": 1, "of_a_later_version": True}) == Policy(retries=1)


@pytest.mark.parametrize("bad", [{"retries": -1}, {"on_stall": "shout"}, {"on_stall": "restart"}])
def test_policy_that_cannot_be_followed_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Policy(**bad)


def test_crashed_stage_goes_on_by_itself_from_its_checkpoint(home: LabHome) -> None:
    config = {"steps": 8, "vanish_at": 5, "bad_attempts": 1}
    paths = start(make_run(home, {"base": config, "mid": {}}, policy=EAGER))
    view = wait_for_state(paths, "finished")
    assert (view.stages[0].attempt, view.stages[0].resumed_from) == (2, 4)
    assert list(read_metrics(paths.run_dir, "base")["loss"][0]) == list(range(1, 9))
    (retry,) = [record for record in read_log(paths.control) if record.kind == "retry"]
    assert retry.data["message"] == "base crashed; restart 1 of 3 from step 4 after 0.1 s"


def test_stage_that_crashes_at_the_same_step_is_given_up_with_one_line(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"steps": 8, "vanish_at": 5}}, policy=EAGER))
    view = wait_for_state(paths, "crashed")
    assert attempts(paths) == 3
    assert view.problem == (
        "base crashed and is not restarted: it ended 3 times without getting past step 4; "
        f"see labcli runs logs {view.slug}"
    )


def test_unexpected_error_is_tried_again_and_bad_input_is_not(home: LabHome) -> None:
    broken = {"steps": 6, "fail_at": 3, "bad_attempts": 1}
    flaky = start(make_run(home, {"base": broken}, policy=EAGER))
    wrong = start(make_run(home, {"base": {**broken, "error_type": "UsageError"}}, policy=EAGER))
    assert wait_for_state(flaky, "finished").stages[0].attempt == 2
    view = wait_for_state(wrong, "failed")
    assert view.stages[0].attempt == 1 and view.stages[0].error == "bad batch"


def test_run_that_waits_for_its_restart_is_queued_and_resume_ends_the_wait(home: LabHome) -> None:
    policy = Policy(retries=1, backoff_s=200.0)
    paths = start(make_run(home, {"base": {"steps": 30, "step_s": 0.02}}, policy=policy))
    wait_for_step(paths, "base", 3)
    os.kill(worker_pid(paths, "base"), signal.SIGKILL)
    view = wait_for_state(paths, "queued")
    assert view.problem is not None and "base was killed; restart 1 of 1 from step" in view.problem
    resume(paths.run_dir)
    assert wait_for_state(paths, "finished").stages[0].attempt == 2


def test_run_that_waits_for_its_restart_can_be_stopped(home: LabHome) -> None:
    policy = Policy(retries=1, backoff_s=200.0)
    paths = start(make_run(home, {"base": {"vanish_at": 2}}, policy=policy))
    wait_for_state(paths, "queued")
    wait_for(lambda: "waiting" in paths.control.read_text(), "the wait")
    request_stop(paths.run_dir)
    assert wait_for_state(paths, "crashed").stages[0].attempt == 1


def test_resumed_run_has_all_its_restarts_again(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"vanish_at": 2, "bad_attempts": 5}}, policy=EAGER))
    wait_for_state(paths, "crashed")
    assert attempts(paths) == 3
    resume(paths.run_dir)
    wait_for_state(paths, "finished")
    assert attempts(paths) == 6
