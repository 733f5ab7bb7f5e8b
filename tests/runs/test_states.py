"""Every state of a stage and of a run, from the signs that lead to it."""

from __future__ import annotations

from typing import Any

import pytest

from runs.supervision.control import Exit
from runs.supervision.process import Liveness
from runs.views.states import RunSigns, StageSigns, StageState, run_state, stage_state


def exited(*, code: int | None = None, number: int | None = None, stopping: bool = False) -> Exit:
    return Exit(code=code, signal=number, was_stopping=stopping, t=0.0)


LIVING: dict[str, Any] = {"is_launched": True, "worker": "alive", "event_age_s": 1.0}


@pytest.mark.parametrize(
    ("signs", "state"),
    [
        ({}, "pending"),
        ({"is_launched": True, "is_supervised": True, "control_age_s": 0.1}, "running"),
        (LIVING, "running"),
        ({**LIVING, "worker": "dead", "is_supervised": True, "control_age_s": 0.1}, "running"),
        ({**LIVING, "event_age_s": 60.0}, "stalled"),
        ({**LIVING, "work_age_s": 5000.0}, "stalled"),
        ({**LIVING, "is_stopping": True}, "stopping"),
        ({**LIVING, "is_stopping": True, "event_age_s": 60.0}, "stopping"),
        ({**LIVING, "end_reason": "finished"}, "finished"),
        ({**LIVING, "end_reason": "stopped"}, "stopped"),
        ({**LIVING, "end_reason": "budget"}, "budget"),
        ({**LIVING, "end_reason": "failed"}, "failed"),
        ({"is_launched": True, "has_error": True, "exit": exited(code=1)}, "failed"),
        ({"is_launched": True, "exit": exited(number=9)}, "killed"),
        ({"is_launched": True, "exit": exited(number=11)}, "killed"),
        ({"is_launched": True, "exit": exited(number=15)}, "killed"),
        ({"is_launched": True, "exit": exited(number=15, stopping=True)}, "stopped"),
        ({"end_reason": "stopped", "is_launched": True, "exit": exited(number=9)}, "killed"),
        ({"end_reason": "stopped", "is_launched": True, "exit": exited(code=1)}, "stopped"),
        # torchrun ended with 1, and told that a rank was killed by this signal.
        ({"end_reason": "failed", "is_launched": True, "exit": exited(code=1, number=9)}, "killed"),
        (
            {"end_reason": "failed", "is_launched": True, "exit": exited(code=1, number=15)},
            "failed",
        ),
        ({"end_reason": "failed", "is_launched": True, "exit": exited(number=9)}, "failed"),
        ({"is_launched": True, "exit": exited(code=3)}, "crashed"),
        ({"is_launched": True, "exit": exited(code=0)}, "crashed"),
        ({**LIVING, "worker": "dead"}, "crashed"),
        ({**LIVING, "worker": "dead", "is_supervised": True, "control_age_s": 9.0}, "crashed"),
        ({**LIVING, "worker": "dead", "has_error": True}, "failed"),
        ({**LIVING, "worker": "elsewhere"}, "running"),
        ({**LIVING, "worker": "elsewhere", "event_age_s": 45.0}, "lost"),
        (
            {**LIVING, "worker": "elsewhere", "event_age_s": 45.0, "control_age_s": 1.0},
            "stalled",
        ),
        ({"event_age_s": 5.0}, "crashed"),
        ({"is_launched": True, "event_age_s": 1.0}, "running"),
        ({"is_launched": True, "event_age_s": 5.0}, "crashed"),
        (
            {"end_reason": "stopped", "is_launched": True, "exit": exited(code=1), "num_silent": 1},
            "crashed",
        ),
        ({**LIVING, "work_age_s": 40.0, "work_limit_s": 30.0}, "stalled"),
    ],
)
def test_stage_state_follows_from_its_signs(signs: dict[str, Any], state: StageState) -> None:
    assert stage_state(StageSigns(**signs)) == state


@pytest.mark.parametrize(
    ("stages", "supervisor", "more", "state"),
    [
        (["pending", "pending"], None, {}, "queued"),
        (["pending"], None, {"launch": "alive"}, "queued"),
        (["pending"], None, {"launch": "dead"}, "crashed"),
        (["killed"], "dead", {"launch": "alive", "word": "killed"}, "queued"),
        (["stopped"], "alive", {"launch": "alive", "word": "stopped"}, "queued"),
        (["running"], "alive", {"launch": "alive", "word": "running"}, "running"),
        (["pending"], "alive", {"launch": "alive", "word": "running"}, "running"),
        (["pending"], "alive", {}, "running"),
        (["finished", "pending"], "alive", {}, "running"),
        (["killed"], "alive", {}, "running"),
        (["running", "pending"], "alive", {}, "running"),
        (["running", "pending"], "dead", {}, "running"),
        (["stalled"], "alive", {}, "stalled"),
        (["stopping"], "alive", {"word": "stopping"}, "stopping"),
        (["finished", "pending"], "alive", {"word": "stopping"}, "stopping"),
        (["finished", "pending"], "alive", {"word": "stopped"}, "stopped"),
        (["finished", "pending"], "dead", {"word": "stopped"}, "stopped"),
        (["finished", "pending"], "dead", {"word": "running"}, "crashed"),
        (["finished", "killed"], "dead", {"word": "killed"}, "killed"),
        (["crashed", "pending"], "dead", {}, "crashed"),
        (["failed", "pending"], "alive", {"word": "failed"}, "failed"),
        (["budget", "pending"], "dead", {"word": "budget"}, "budget"),
        (["killed"], "alive", {"word": "waiting"}, "queued"),
        (["killed"], "dead", {"word": "waiting"}, "killed"),
        (["finished", "finished"], "dead", {}, "finished"),
        (["finished", "finished"], "alive", {}, "finished"),
        (["lost", "pending"], "elsewhere", {"control_age_s": 90.0}, "lost"),
        (["finished", "pending"], "elsewhere", {"control_age_s": 90.0}, "lost"),
        (["finished", "pending"], "elsewhere", {"control_age_s": 1.0}, "running"),
        (["stopped"], None, {}, "stopped"),
    ],
)
def test_run_state_follows_from_its_stages_and_its_supervisor(
    stages: list[StageState], supervisor: Liveness | None, more: dict[str, Any], state: str
) -> None:
    assert run_state(RunSigns(stages=stages, supervisor=supervisor, **more)) == state
