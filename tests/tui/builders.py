"""Run directories as the supervisor and the workers write them, without training anything."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from runs.create import create_run
from runs.events import (
    Alert,
    Checkpoint,
    End,
    Error,
    Eval,
    Event,
    EventLog,
    Heartbeat,
    Note,
    Progress,
    Sample,
    Start,
    Step,
)
from runs.log import append_record
from runs.paths import LabHome, RunPaths
from runs.supervision.process import identify

SPEEDRUN = ("data", "tok", "base", "eval-base", "mid", "eval-mid", "sft", "eval-sft", "report")
NUM_STEPS = 2000


@dataclass(slots=True)
class Ticker:
    """A clock that stands still unless told."""

    t: float

    def __call__(self) -> float:
        return self.t


@dataclass(slots=True)
class RunBuilder:
    """One run directory; every method appends what the real writers would."""

    paths: RunPaths
    clock: Ticker
    pid: int = field(default_factory=os.getpid)
    attempts: dict[str, int] = field(default_factory=dict)

    @property
    def run_dir(self) -> Path:
        """The directory."""
        return self.paths.run_dir

    def supervised(self) -> RunBuilder:
        """Let the process `pid`, which is alive, be the supervisor."""
        identity = identify(self.pid)
        assert identity is not None
        self.control("supervisor", identity.as_record())
        return self

    def control(self, kind: str, data: Mapping[str, Any]) -> None:
        """Append one line to control.jsonl."""
        assert append_record(self.paths.control, kind, data, clock=self.clock)

    @contextmanager
    def attempt(self, stage: str, *, resumed_from: int | None = None) -> Iterator[EventLog]:
        """Launch an attempt of a stage and yield its event log, which has its start."""
        number = self.attempts[stage] = self.attempts.get(stage, 0) + 1
        place = {"stage": stage, "attempt": number}
        self.control("launch", place)
        identity = identify(self.pid)
        assert identity is not None
        self.control("stage", {**place, **identity.as_record()})
        with EventLog(self.paths.events(stage, number), clock=self.clock) as log:
            log.append(start(stage, number, resumed_from))
            yield log
            log.append(Heartbeat())

    def exited(self, stage: str, *, code: int | None = 0, signal: int | None = None) -> None:
        """The supervisor saw the worker end."""
        place = {"stage": stage, "attempt": self.attempts[stage]}
        self.control("exit", {**place, "code": code, "signal": signal, "was_stopping": False})
        if code == 0 and signal is None:
            self.control("done", place)

    def ended(self, state: str) -> None:
        """The supervisor says its last word."""
        self.control("state", {"state": state})

    def stage(self, stage: str, events: list[Event], *, took_s: float = 4.0) -> None:
        """Run a whole stage that finishes."""
        with self.attempt(stage) as log:
            for event in events:
                self.clock.t += took_s / max(len(events), 1)
                log.append(event)
            log.append(End(reason="finished"))
        self.exited(stage)

    def print_log(self, stage: str, *lines: str) -> None:
        """Append to what the worker of the newest attempt printed."""
        path = self.paths.worker_log(stage, self.attempts[stage])
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in lines))


def build_run(
    root: Path,
    *,
    t: float,
    name: str | None = None,
    tags: tuple[str, ...] = (),
    stages: tuple[str, ...] = SPEEDRUN,
    num_steps: int = NUM_STEPS,
    seed: int = 1,
) -> RunBuilder:
    """Return a new run directory, created at time `t`, that nobody has started."""
    trained = ("base", "mid", "sft")
    plan = {
        "recipe": "speedrun",
        "preset": "cpu",
        "stages": [
            {
                "stage": stage,
                "config": {},
                "config_hash": "0" * 16,
                "inputs": {},
                "total": num_steps if stage in trained else None,
            }
            for stage in stages
        ],
    }
    clock = Ticker(t)
    entropy: Callable[[int], bytes] = np.random.default_rng(seed).bytes
    paths = create_run(
        LabHome(root),
        plan=plan,
        recipe="speedrun",
        preset="cpu",
        name=name,
        tags=tags,
        argv=("labcli", "run", "speedrun"),
        clock=clock,
        entropy=entropy,
    )
    return RunBuilder(paths, clock)


def start(stage: str, attempt: int, resumed_from: int | None = None) -> Start:
    """Return the first event of an attempt."""
    return Start(
        stage=stage,
        attempt=attempt,
        config_hash="0" * 16,
        host="box",
        device="cpu",
        torch="2.15.0",
        world_size=1,
        argv=("labcli", "run", "speedrun"),
        resumed_from=resumed_from,
    )


def step(number: int, total: int = NUM_STEPS, *, seed: int = 1, **metrics: float) -> Step:
    """Return one step of a believable training: a falling, noisy loss."""
    generator = np.random.default_rng((seed, number))
    smooth = 2.1 + 6.2 * math.exp(-number / 90) + 1.2 * math.exp(-number / 700)
    speed = 23_800 * (1 + 0.02 * generator.standard_normal())
    if number % 100 == 0 and number:
        speed *= 0.72
    values = {
        "loss": smooth + 0.12 * generator.standard_normal(),
        "tokens": number * 4096.0,
        "train_s": number * 0.17,
        "flops": number * 2.2e11,
        "tok_per_sec": speed,
        "mfu": 0.41 * speed / 23_800,
        "lrm": min(1.0, 1.0 - (number - 0.35 * total) / (0.68 * total)),
        "grad_norm": 0.6 + 0.1 * abs(generator.standard_normal()),
    }
    return Step(step=number, total_steps=total, metrics={**values, **metrics})


def training(
    log: EventLog, clock: Ticker, stage: str, first: int, last: int, *, total: int = NUM_STEPS,
    seed: int = 1, step_s: float = 0.172,
) -> None:  # fmt: skip
    """Append the steps first..last with their evaluations, samples and checkpoints."""
    for number in range(first, last + 1):
        clock.t += step_s
        log.append(step(number, total, seed=seed))
        if number % 100 == 0 and number:
            bpb = 0.95 + 1.1 * math.exp(-number / 350)
            log.append(Eval(step=number, val_bpb=bpb, val_sha256="5f" * 32))
            path = f"checkpoints/{stage}/step_{number}"
            log.append(Checkpoint(step=number, path=path, bytes=48_300_000, sha256="ab" * 32))
        if number % 400 == 0 and number:
            for prompt, text in SAMPLES:
                log.append(Sample(step=number, prompt=prompt, text=text))


def evaluation(stage: str) -> Eval:
    """Return the results of an evaluation: better after each stage."""
    skill = {"eval-base": 0.02, "eval-mid": 0.41, "eval-sft": 0.56}[stage]
    results = {
        task: {"accuracy": skill * share, "n": 200.0, "chance": 0.0}
        for task, share in (("arithmetic", 1.0), ("counting", 0.8), ("spelling", 1.4))
    }
    return Eval(step=0, val_bpb=1.0 - skill / 20, val_sha256="5f" * 32, results=results)


SAMPLES = (
    ("The module provides", "The module provides access to the list of names that a class has "
     "when it is called with no arguments, and returns the value of the first one found."),
    ("Return a new", "Return a new string object with the given width, padded on the left."),
)  # fmt: skip


def finish_until(run: RunBuilder, last: str, *, num_steps: int = NUM_STEPS) -> RunBuilder:
    """Run every stage up to and including `last`, each of them finished."""
    for name in SPEEDRUN[: SPEEDRUN.index(last) + 1]:
        if name in ("base", "mid", "sft"):
            with run.attempt(name) as log:
                training(log, run.clock, name, 1, num_steps, total=num_steps, step_s=0.05)
                log.append(End(reason="finished"))
            run.exited(name)
        elif name.startswith("eval-"):
            run.stage(name, [evaluation(name)])
        else:
            run.stage(name, [Progress(done=1, total=1, unit="file", label="done")])
    return run


def build_lab(root: Path, *, now: float, num_steps: int = NUM_STEPS) -> dict[str, RunBuilder]:
    """Return a lab home with runs in several states, the newest one running."""
    done = build_run(root, t=now - 90_000, name="first-light", tags=("baseline",), seed=2)
    done.supervised()
    finish_until(done, "report", num_steps=num_steps).ended("finished")
    killed = build_run(root, t=now - 50_000, name="wide-batch", tags=("sweep", "d6"), seed=3)
    killed.supervised()
    finish_until(killed, "tok")
    with killed.attempt("base") as log:
        training(log, killed.clock, "base", 1, num_steps // 3)
    killed.exited("base", code=None, signal=9)
    killed.ended("killed")
    failed = build_run(root, t=now - 20_000, name="hot-lr", tags=("sweep",), seed=4)
    failed.supervised()
    finish_until(failed, "tok")
    with failed.attempt("base") as log:
        training(log, failed.clock, "base", 1, num_steps // 6)
        log.append(step(num_steps // 6 + 1, loss=math.nan))
        log.append(Alert(code="loss-nan", severity="error", message="loss is not a number"))
        log.append(Error(type="StageFailed", message="loss is NaN at step 334", traceback=""))
        log.append(End(reason="failed"))
    failed.exited("base", code=1)
    failed.ended("failed")
    running = running_run(root, now=now, num_steps=num_steps)
    build_run(root, t=now - 5, name="night-shift", seed=6)
    return {"finished": done, "killed": killed, "failed": failed, "running": running}


def running_run(root: Path, *, now: float, num_steps: int = NUM_STEPS) -> RunBuilder:
    """Return a run in its base stage: killed once, resumed, with a spike and a NaN."""
    step_s = 0.172
    at, resumed = int(num_steps * 0.62), int(num_steps * 0.4)
    run = build_run(root, t=now - 700, name="amber-fox", tags=("d4", "cpu"), seed=5)
    run.supervised()
    finish_until(run, "tok")
    with run.attempt("base") as log:
        log.append(Note(message="4.1 M parameters, depth 4"))
        training(log, run.clock, "base", 1, int(num_steps * 0.5), total=num_steps, seed=5)
    run.exited("base", code=None, signal=9)
    run.clock.t = now - (at - resumed) * step_s - 1
    run.supervised()
    with run.attempt("base", resumed_from=resumed) as log:
        half = (resumed + at) // 2
        training(log, run.clock, "base", resumed + 1, half - 1, total=num_steps, seed=7)
        log.append(step(half, num_steps, loss=6.4))
        log.append(step(half + 1, num_steps, loss=math.nan))
        log.append(Alert(code="loss-spike", severity="warning", message=f"at step {half}"))
        training(log, run.clock, "base", half + 2, at, total=num_steps, seed=7)
    run.clock.t = now
    return run
