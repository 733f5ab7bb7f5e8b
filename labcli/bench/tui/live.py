"""Runs that are alive while they are measured: this process stands for supervisor and worker."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labcli.bench.registry.lab import metrics_at, seeded
from runs.create import create_run
from runs.errors import LabError
from runs.events import Event, EventLog, Start, Step, encode
from runs.log import append_record
from runs.paths import LabHome
from runs.supervision.process import identify

# Nine a step: as many as the charts of one run.
CHARTED = (
    "loss", "tokens", "train_s", "flops", "tok_per_sec", "mfu", "lrm", "grad_norm", "dt",
)  # fmt: skip
MANY_STEPS = 10_000_000
STEP_S = 0.3


class LiveRun:
    """A run in its base stage."""

    def __init__(self, home: LabHome, *, name: str) -> None:
        stages = [
            {"stage": "base", "config": {}, "config_hash": "0" * 16, "inputs": {},
             "total": MANY_STEPS}
        ]  # fmt: skip
        plan = {"recipe": "speedrun", "preset": "cpu", "stages": stages}
        self.paths = create_run(home, plan=plan, recipe="speedrun", preset="cpu", name=name)
        identity = identify(os.getpid())
        if identity is None:
            raise LabError("this process has no identity: is /proc readable?")
        who = identity.as_record()
        place = {"stage": "base", "attempt": 1}
        append_record(self.paths.control, "supervisor", who)
        append_record(self.paths.control, "launch", place)
        append_record(self.paths.control, "stage", {**place, **who})

    @property
    def run_id(self) -> str:
        """The id by which commands find it."""
        return self.paths.run_dir.name.partition("-")[0]

    @property
    def events(self) -> Path:
        """The event log of its only attempt."""
        return self.paths.events("base", 1)


def write_history(run: LiveRun, num_points: int) -> int:
    """Write a log of nine metrics a step, `num_points` values in all; return the last step."""
    rng = seeded(1)
    num_steps = max(num_points // len(CHARTED), 1)
    began_s = time.time() - STEP_S * num_steps
    run.events.parent.mkdir(parents=True, exist_ok=True)
    with run.events.open("wb") as stream:
        stream.write(encode(_start(), seq=0, t=began_s))
        for step in range(1, num_steps + 1):
            metrics = {key: metrics_at(step, rng)[key] for key in CHARTED}
            event = Step(step=step, total_steps=MANY_STEPS, metrics=metrics)
            stream.write(encode(event, seq=step, t=began_s + STEP_S * step))
    return num_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The first step that is logged, the last that there will be, and how often one is."""

    first: int
    total: int
    events_per_s: float


class Writers:
    """Threads that log steps, and when each step was written.

    written_s: by run and step, in seconds of `time.monotonic`.
    """

    def __init__(self, runs: Sequence[LiveRun], pace: Pace) -> None:
        self.written_s: list[dict[int, float]] = [{} for _ in runs]
        self._pace = pace
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(index, run), daemon=True)
            for index, run in enumerate(runs)
        ]

    def run_for(self, seconds: float) -> None:
        """Write for so long."""
        for thread in self._threads:
            thread.start()
        time.sleep(seconds)
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _write(self, index: int, run: LiveRun) -> None:
        rng, pause_s = seeded(index), 1 / self._pace.events_per_s
        # Not all at once: runs know nothing of each other.
        self._done.wait(index / len(self._threads) * pause_s)
        with EventLog(run.events) as log:
            for step in range(self._pace.first, self._pace.total):
                if self._done.is_set():
                    return
                metrics = {key: metrics_at(step, rng)[key] for key in CHARTED}
                log.append(Step(step=step, total_steps=self._pace.total, metrics=metrics))
                self.written_s[index][step] = time.monotonic()
                self._done.wait(pause_s)


def begin(run: LiveRun) -> None:
    """Write that its attempt has begun."""
    with EventLog(run.events) as log:
        log.append(_start())


def _start() -> Event:
    return Start(
        stage="base",
        attempt=1,
        config_hash="0" * 16,
        host="lab",
        device="cpu",
        torch="2.15.0",
        world_size=1,
        argv=("-m", "labcli.worker"),
    )
