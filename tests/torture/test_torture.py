"""Workers, supervisors and readers killed at random: nothing acknowledged is lost, nothing lies.

LABCLI_TORTURE_SEED changes the order of events; the one that was used is in a failure's message.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from runs.events import EventTail
from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.registry import store
from runs.supervision.control import StageControl, fold_control
from runs.supervision.process import (
    ProcessIdentity,
    find_family,
    find_tagged,
    is_alive,
    send_signal,
)
from runs.supervision.requests import adopt, request_stop, resume
from runs.views.facts import stage_facts
from runs.views.query import load_run
from runs.views.run_view import RunView
from runs.views.states import ACTIVE
from tests.runs.builders import kill_everything, start, wait_for
from tests.torture.scenery import make_runs
from tests.torture.worker import COUNT, ack_file

# The long form holds the promise of five seconds; a short one may share its machine with others.
TRUE_WITHIN_S = 5.0
SHORT_FORM_WITHIN_S = 20.0
STEPS_BETWEEN_KILLS = 10


class Torturer:
    """Kills one process after another, and holds every state to the truth."""

    def __init__(
        self,
        home: LabHome,
        runs: list[RunPaths],
        complaints: Path,
        *,
        seed: int,
        true_within_s: float,
    ) -> None:
        self._true_within_s = true_within_s
        self._home, self._runs, self._complaints = home, runs, complaints
        self._rng = random.Random(seed)
        self._bystanders = {
            name: self._bystander(task)
            for name, task in (("first", "read"), ("second", "read"), ("third", "reindex"))
        }
        self.num_kills: dict[str, int] = {}

    def torture(self, duration_s: float) -> None:
        """Kill and bring back, for as long as asked."""
        acts = {
            "worker": (self._kill_worker, 3),
            "supervisor": (self._kill_supervisor, 3),
            "both": (self._kill_both, 2),
            "bystander": (self._kill_bystander, 2),
        }
        names, weights = list(acts), [weight for _, weight in acts.values()]
        deadline = time.monotonic() + duration_s
        while time.monotonic() < deadline:
            (name,) = self._rng.choices(names, weights)
            if name == "bystander":
                self._kill_bystander()
            else:
                paths = self._rng.choice(self._runs)
                if not self._is_up(paths):
                    continue
                acts[name][0](paths)  # type: ignore[operator]
            self.num_kills[name] = self.num_kills.get(name, 0) + 1

    def end_bystanders(self) -> None:
        """Kill the readers and the indexer."""
        for child in self._bystanders.values():
            child.kill()
            child.wait()

    def _is_up(self, paths: RunPaths) -> bool:
        supervisor, stage = control_of(paths)
        worker = stage.worker if stage else None
        if not (supervisor and worker and is_alive(supervisor) and is_alive(worker)):
            return False
        # The imports of the trainer take seconds: killed in them, it would never make a step.
        return paths != self._runs[-1] or has_gained(paths)

    def _kill_worker(self, paths: RunPaths) -> None:
        _, stage = control_of(paths)
        assert stage is not None and stage.worker is not None
        send_signal(stage.worker, signal.SIGKILL)

        def is_known(view: RunView) -> bool:
            was_restarted = view.stages[0].attempt > stage.attempt
            return was_restarted or view.state in ("killed", "crashed", "queued")

        self._expect(paths, is_known, "a dead worker to be known")
        self._bring_back(paths)

    def _kill_supervisor(self, paths: RunPaths) -> None:
        supervisor, stage = control_of(paths)
        assert supervisor is not None and stage is not None and stage.worker is not None
        send_signal(supervisor, signal.SIGKILL)

        def is_known(view: RunView) -> bool:
            return view.state == "running" and "supervisor is gone" in (view.problem or "")

        self._expect(paths, is_known, "a dead supervisor to be known")
        assert is_alive(stage.worker), "the worker died with its supervisor"
        if self._rng.random() < 0.5:
            resume(paths.run_dir)
            return
        adopt(paths.run_dir)
        self._expect(paths, lambda view: view.problem is None, "the run to be adopted")
        assert is_alive(stage.worker), "the worker did not survive its adoption"
        assert load_run(paths.run_dir).stages[0].attempt == stage.attempt

    def _kill_both(self, paths: RunPaths) -> None:
        supervisor, stage = control_of(paths)
        assert supervisor is not None and stage is not None and stage.worker is not None
        victims = [supervisor, stage.worker]
        self._rng.shuffle(victims)
        for victim in victims:
            send_signal(victim, signal.SIGKILL)
        # The supervisor may have seen the worker die, and may have begun the next attempt.
        self._expect(
            paths,
            lambda view: view.state in ("crashed", "killed") or "gone" in (view.problem or ""),
            "two dead processes to be known",
        )
        self._bring_back(paths)

    def _expect(self, paths: RunPaths, is_so: Callable[[RunView], bool], what: str) -> None:
        """Fail unless the run is seen as it is in time."""
        deadline = time.monotonic() + self._true_within_s
        view = load_run(paths.run_dir)
        while not is_so(view):
            assert time.monotonic() < deadline, f"{what} took too long: {view}"
            time.sleep(0.05)
            view = load_run(paths.run_dir)

    def _bring_back(self, paths: RunPaths) -> None:
        supervisor, _ = control_of(paths)
        if (
            supervisor is None
            or not is_alive(supervisor)
            or load_run(paths.run_dir).state not in (ACTIVE)
        ):
            resume(paths.run_dir)

    def _kill_bystander(self) -> None:
        name = self._rng.choice(list(self._bystanders))
        child = self._bystanders[name]
        task = str(child.args[-2])  # type: ignore[index]
        child.kill()
        child.wait()
        self._bystanders[name] = self._bystander(task)

    def _bystander(self, task: str) -> subprocess.Popen[bytes]:
        words = [str(self._home.root), task, str(self._complaints)]
        return subprocess.Popen([sys.executable, "-m", "tests.torture.bystander", *words])


def has_gained(paths: RunPaths) -> bool:
    """Return whether the present attempt has made some steps of its own."""
    facts = stage_facts(paths.run_dir, "base")
    _, stage = control_of(paths)
    is_heard = stage is not None and facts.attempt == stage.attempt
    return is_heard and (facts.step or 0) >= (facts.resumed_from or 0) + STEPS_BETWEEN_KILLS


def control_of(paths: RunPaths) -> tuple[ProcessIdentity | None, StageControl | None]:
    """Return the newest supervisor of a run, and what it knows of the stage."""
    control = fold_control(read_log(paths.control))
    return control.supervisor, control.stages.get("base")


def stop_all(runs: list[RunPaths]) -> None:
    """Stop every run, and wait until nothing of it is left."""
    for paths in runs:
        if load_run(paths.run_dir).state in ACTIVE:
            request_stop(paths.run_dir)
    for paths in runs:
        wait_for(partial(has_ended, paths), f"{paths.run_dir.name} to end")


def has_ended(paths: RunPaths) -> bool:
    """Return whether a run has ended with every process that belonged to it."""
    supervisor, _ = control_of(paths)
    is_over = load_run(paths.run_dir).state not in ACTIVE
    is_alone = supervisor is None or not is_alive(supervisor)
    return is_over and is_alone and not find_family(paths.run_dir.name[:26])


def processes_about(home: LabHome) -> list[str]:
    """Return the command lines of processes that have to do with a lab home."""
    found = [tagged.run_id for tagged in find_tagged() if tagged.home == str(home.root)]
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(home.root) in line and process.pid != os.getpid():
            found.append(line)
    return found


def check_events(paths: RunPaths) -> int:
    """Check that every event log holds all that was acknowledged; return how much that was."""
    num_acked = 0
    for path in sorted(paths.events_dir.iterdir()):
        tail = EventTail(path)
        seqs = [record.seq for record in tail.read()]
        assert tail.num_malformed == 0, f"{path} has {tail.num_malformed} broken lines"
        assert seqs == list(range(len(seqs))), f"{path} has gaps"
        counted = ack_file(path)
        if counted.exists() and counted.stat().st_size == COUNT.size:
            (acked,) = COUNT.unpack(counted.read_bytes())
            assert len(seqs) >= acked, f"{path}: {acked} acknowledged, {len(seqs)} there"
            num_acked += acked
    return num_acked


def check_losses(paths: RunPaths) -> int:
    """Check that a step that was made twice lost the same; return how many steps there are."""
    losses: dict[int, float] = {}
    for path in sorted(paths.events_dir.glob("base.a*.r0.jsonl")):
        for record in EventTail(path).read():
            if record.kind == "step":
                step, loss = record.data["step"], record.data["metrics"]["loss"]
                assert losses.setdefault(step, loss) == loss, f"step {step} of {path} differs"
    assert sorted(losses) == list(range(1, len(losses) + 1))
    return len(losses)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LabHome]:
    """A lab home whose processes end with the test, however it ends."""
    lab = LabHome(tmp_path / "lab")
    yield lab
    kill_everything(lab)


@pytest.mark.parametrize(
    ("duration_s", "true_within_s"),
    [
        (12.0, SHORT_FORM_WITHIN_S),
        pytest.param(180.0, TRUE_WITHIN_S, marks=[pytest.mark.soak, pytest.mark.timeout(500)]),
    ],
)
def test_nothing_is_lost_and_every_state_is_true_while_processes_are_killed(
    home: LabHome, tmp_path: Path, duration_s: float, true_within_s: float
) -> None:
    seed = int(os.environ.get("LABCLI_TORTURE_SEED", "1"))
    complaints = tmp_path / "complaints.txt"
    runs = [start(paths) for paths in make_runs(home, tmp_path / "world")]
    store.publish(home)
    wait_for(lambda: has_gained(runs[-1]), "the first training steps")
    torturer = Torturer(home, runs, complaints, seed=seed, true_within_s=true_within_s)
    try:
        torturer.torture(duration_s)
    finally:
        torturer.end_bystanders()
    stop_all(runs)
    told = complaints.read_text() if complaints.exists() else ""
    assert told == "", f"seed {seed}: {told}"
    wait_for(lambda: not processes_about(home), "every process to be gone")
    num_acked = [check_events(paths) for paths in runs]
    num_steps = check_losses(runs[2])
    assert num_acked[0] and num_acked[1] and num_steps
    assert store.reindex(home) == len(runs)
    table = store.query(home, "SELECT count(*) FROM runs WHERE state IN ('running', 'queued')")
    assert table.rows == ((0,),)
    sys.stderr.write(
        f"killed {torturer.num_kills}, {sum(num_acked)} events acknowledged and {num_steps} "
        f"training steps made, seed {seed}\n"
    )
