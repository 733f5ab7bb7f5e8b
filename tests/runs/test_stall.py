"""A stage that hangs: what counts as hanging, what is written down, and what follows."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from runs.events import Checkpoint, Event, EventLog, Heartbeat, Progress, Start, Step
from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.supervision.policy import Policy
from runs.supervision.requests import request_stop
from runs.supervision.stall import Hang, StallWatch
from runs.views.facts import stage_facts
from runs.views.query import load_run
from runs.views.states import NO_WORK_LIMIT_S, work_limit_s
from tests.runs.builders import make_run, start, wait_for, wait_for_state, worker_pid

QUICK = {"steps": 12, "step_s": 0.02}
WATCHFUL = Policy(stall_min_s=1.0)


@pytest.mark.parametrize(
    ("step_s", "phase", "limit_s"),
    [
        (None, None, NO_WORK_LIMIT_S),
        (None, "compile", NO_WORK_LIMIT_S),
        (0.5, None, 60.0),
        (30.0, None, 150.0),
        (0.5, "checkpoint", NO_WORK_LIMIT_S),
        (0.5, "eval", NO_WORK_LIMIT_S),
        (600.0, "eval", 3000.0),
    ],
)
def test_limit_follows_from_the_steps_and_the_phase(
    step_s: float | None, phase: str | None, limit_s: float
) -> None:
    assert work_limit_s(step_s=step_s, phase=phase, min_s=60.0) == limit_s


class Scene:
    """A stage whose events are written at chosen times, and the watch over it."""

    def __init__(self, home: LabHome) -> None:
        self.now_s = 0.0
        self.paths = make_run(home, {"base": {}})
        clock = self.clock
        self.log = EventLog(self.paths.events("base", 1), clock=clock)
        self.watch = StallWatch(
            self.paths.run_dir, "base", 1, Policy(stall_min_s=10.0), clock=clock
        )

    def clock(self) -> float:
        return self.now_s

    def write(self, event: Event, *, after_s: float = 0.0) -> None:
        self.now_s += after_s
        assert self.log.append(event)

    def look(self, *, after_s: float) -> Hang | str | None:
        self.now_s += after_s
        return self.watch.look()

    def steps(self, *numbers: int, each_s: float = 1.0) -> None:
        for number in numbers:
            step = Step(step=number, total_steps=99, metrics={})
            self.write(step, after_s=each_s)
            self.watch.look()

    def stay_alive(self, seconds: int, phase: str | None = None) -> list[Hang | str]:
        """Write a heartbeat every 2 s and return what the watch says to them."""
        said = []
        for _ in range(seconds // 2):
            self.write(Heartbeat(phase=phase), after_s=2.0)
            said.append(self.watch.look())
        return [item for item in said if item is not None]


@pytest.fixture
def scene(home: LabHome) -> Scene:
    scene = Scene(home)
    began = Start(
        stage="base",
        attempt=1,
        config_hash="c",
        host="h",
        device="cpu",
        torch=None,
        world_size=1,
        argv=(),
    )
    scene.write(began)
    scene.write(Progress(done=0, total=99, unit="steps", label="building kernels"))
    return scene


def test_stage_that_makes_no_step_for_far_longer_than_a_step_hangs(scene: Scene) -> None:
    scene.steps(1, 2, 3, 4, 5, each_s=4.0)
    assert scene.stay_alive(20) == []
    (hang,) = scene.stay_alive(10)
    assert isinstance(hang, Hang)
    assert (hang.step, hang.step_s, hang.limit_s) == (5, 4.0, 20.0)


def test_first_step_may_take_its_time(scene: Scene) -> None:
    assert scene.stay_alive(600) == []
    scene.steps(1, each_s=100.0)
    assert stage_facts(scene.paths.run_dir, "base").step_s is None


@pytest.mark.parametrize("phase", ["checkpoint", "eval", "compile"])
def test_phases_longer_than_a_step_do_not_count_as_hanging(scene: Scene, phase: str) -> None:
    scene.steps(1, 2, 3, 4, 5)
    assert scene.stay_alive(300, phase) == []
    scene.write(Checkpoint(step=5, path="p", bytes=1, sha256="s"))
    scene.steps(6, 7)
    assert stage_facts(scene.paths.run_dir, "base").step_s == 1.0


def test_hang_is_said_once_and_so_is_its_end(scene: Scene) -> None:
    scene.steps(1, 2, 3, 4, 5)
    said = scene.stay_alive(40)
    assert len(said) == 1
    scene.write(Step(step=6, total_steps=99, metrics={}))
    assert scene.look(after_s=1.0) == "goes on"
    assert scene.look(after_s=1.0) is None


def test_silence_without_a_heartbeat_is_a_hang_before_any_step(scene: Scene) -> None:
    assert scene.look(after_s=1.0) is None
    assert scene.look(after_s=20.0) is None
    assert isinstance(scene.look(after_s=20.0), Hang)


def test_reader_sees_the_same_hang_without_a_supervisor(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {**QUICK, "hang_at": 8}}, policy=WATCHFUL))
    wait_for(lambda: stage_facts(paths.run_dir, "base").step == 7, "step 7")
    supervisor = [r for r in read_log(paths.control) if r.kind == "supervisor"][-1].data["pid"]
    os.kill(supervisor, signal.SIGKILL)
    wait_for_state(paths, "stalled")


def alerts(paths: RunPaths) -> list[dict[str, Any]]:
    return [dict(record.data) for record in read_log(paths.host) if record.kind == "alert"]


def autopsies(paths: RunPaths) -> list[Path]:
    return sorted(paths.log_dir("base").glob("*.stall-*.txt"))


def test_hanging_stage_is_stalled_with_an_autopsy_and_waits_for_a_person(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {**QUICK, "hang_at": 8}}, policy=WATCHFUL))
    view = wait_for_state(paths, "stalled")
    wait_for(lambda: alerts(paths), "the alert")
    (autopsy,) = autopsies(paths)
    text = autopsy.read_text()
    assert "wait_for_nobody" in text and "toy_worker.py" in text
    assert "after step 7" in text and "disk_free_bytes" in text and "== log ==" in text
    (alert,) = alerts(paths)
    assert (alert["code"], alert["severity"]) == ("stalled", "error")
    assert alert["autopsy"] == str(autopsy.relative_to(paths.run_dir))
    problem = load_run(paths.run_dir).problem
    assert problem is not None and str(autopsy.name) in problem and "labcli runs stop" in problem
    assert load_run(paths.run_dir).stages[0].attempt == 1
    assert view.stages[0].step == 7
    request_stop(paths.run_dir, now=True)
    wait_for_state(paths, "killed")


def test_hanging_stage_is_restarted_after_its_autopsy_where_that_is_asked(home: LabHome) -> None:
    policy = Policy(retries=1, on_stall="restart", stall_min_s=1.0, backoff_s=0.1)
    config = {**QUICK, "hang_at": 8, "bad_attempts": 1}
    paths = start(make_run(home, {"base": config}, policy=policy))
    view = wait_for_state(paths, "finished")
    assert (view.stages[0].attempt, view.stages[0].resumed_from) == (2, 7)
    kinds = [record.kind for record in read_log(paths.control)]
    assert kinds.index("stall") < kinds.index("exit") < kinds.index("retry")
    (autopsy,) = autopsies(paths)
    exit_s = next(record.t for record in read_log(paths.control) if record.kind == "exit")
    assert autopsy.stat().st_mtime <= exit_s
    assert "wait_for_nobody" in autopsy.read_text()


def test_frozen_process_is_stalled_and_its_state_is_in_the_autopsy(home: LabHome) -> None:
    paths = start(make_run(home, {"base": {"steps": 400, "step_s": 0.02}}, policy=WATCHFUL))
    wait_for(lambda: (stage_facts(paths.run_dir, "base").step or 0) >= 6, "step 6")
    os.kill(worker_pid(paths, "base"), signal.SIGSTOP)
    wait_for_state(paths, "stalled")
    wait_for(lambda: autopsies(paths), "the autopsy")
    text = autopsies(paths)[0].read_text()
    assert "stopped" in text and "no answer" in text
    os.kill(worker_pid(paths, "base"), signal.SIGCONT)
    wait_for_state(paths, "running")
    wait_for(lambda: [a["code"] for a in alerts(paths)] == ["stalled", "recovered"], "the news")
