"""Lab homes and runs for tests: real run directories, with a clock and entropy of their own."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.create import create_run
from runs.events import Artifact, Checkpoint, End, Eval, Event, EventLog, Start, Step
from runs.log import append_record
from runs.paths import LabHome, RunPaths
from runs.supervision.process import identify

START_S = 1_763_690_000.0
VAL_TEXT = "a" * 64
OTHER_VAL_TEXT = "b" * 64
SPEEDRUN = ("data", "tok", "base", "eval-base", "mid", "eval-mid", "sft", "eval-sft", "report")
STAGE_INPUTS: Mapping[str, Mapping[str, str]] = {
    "tok": {"corpus": "data"},
    "base": {"corpus": "data", "tokenizer": "tok"},
    "eval-base": {"checkpoint": "base", "tokenizer": "tok"},
    "mid": {"checkpoint": "base", "tokenizer": "tok", "conversations": "data"},
    "eval-mid": {"checkpoint": "mid", "tokenizer": "tok"},
    "sft": {"checkpoint": "mid", "tokenizer": "tok", "conversations": "data"},
    "eval-sft": {"checkpoint": "sft", "tokenizer": "tok"},
}


def make_plan(stages: Sequence[str] = SPEEDRUN, *, total: int = 100) -> dict[str, Any]:
    """Return a plan as run.json holds it."""
    entries = [
        {
            "stage": stage,
            "config": {"seed": 42},
            "config_hash": f"{index:016x}",
            "inputs": dict(STAGE_INPUTS.get(stage, {})),
            "total": total if stage in ("base", "mid", "sft") else None,
        }
        for index, stage in enumerate(stages)
    ]
    return {
        "recipe": "speedrun",
        "preset": "cpu",
        "stages": entries,
        "model": {"num_params": 11_534_336, "depth": 4, "n_embd": 256},
        "tokens": 1_000_000,
        "flops": 6.9e13,
        "steps": total,
        "memory_bytes": 1 << 30,
        "disk_bytes": 1 << 28,
        "time_s": 540.0,
        "usd": None,
    }


def ticking(start_s: float = START_S, tick_s: float = 1.0) -> Callable[[], float]:
    """Return a clock that moves on by `tick_s` whenever it is read."""
    times: Iterator[float] = itertools.count(start_s, tick_s)
    return lambda: next(times)


@dataclass
class RunBuilder:
    """One run directory in the making."""

    paths: RunPaths
    clock: Callable[[], float] = field(default_factory=ticking)

    @property
    def run_id(self) -> str:
        return self.paths.run_dir.name[:26]

    @property
    def slug(self) -> str:
        return self.paths.run_dir.name[27:]

    def log(self, stage: str, *events: Event, attempt: int = 1, rank: int = 0) -> RunBuilder:
        """Write a start event and `events` to a stage's log."""
        path = self.paths.events(stage, attempt, rank)
        with EventLog(path, clock=self.clock) as log:
            log.append(start(stage, attempt))
            for event in events:
                log.append(event)
        return self

    def finish(self, stage: str, *events: Event) -> RunBuilder:
        """Write a stage that ran to its end."""
        return self.log(stage, *events, End(reason="finished"))

    def run_now(self, stage: str, *events: Event) -> RunBuilder:
        """Write a stage whose worker is alive: this very process stands in for it."""
        self.clock = ticking(time.time())
        worker = identify(os.getpid())
        assert worker is not None
        place = {"stage": stage, "attempt": 1}
        append_record(self.paths.control, "supervisor", worker.as_record())
        append_record(self.paths.control, "launch", place)
        append_record(self.paths.control, "stage", {**place, **worker.as_record()})
        return self.log(stage, *events)

    def commit(self, stage: str, step: int) -> Path:
        """Create a committed checkpoint directory and return it."""
        path = self.paths.checkpoints_dir(stage) / f"step_{step}"
        path.mkdir(parents=True)
        (path / "model.safetensors").write_bytes(b"weights")
        (path / "meta.json").write_text(json.dumps({"step": step}))
        (path / "COMMITTED").touch()
        return path


def build_run(
    home: LabHome,
    *,
    stages: Sequence[str] = SPEEDRUN,
    name: str | None = None,
    tags: Sequence[str] = (),
    created_s: float = START_S,
    seed: int = 1,
) -> RunBuilder:
    """Return a builder over a new run; equal seeds give equal ids and slugs."""
    paths = create_run(
        home,
        plan=make_plan(stages),
        recipe="speedrun",
        preset="cpu",
        name=name,
        tags=tags,
        clock=lambda: created_s,
        entropy=lambda num_bytes: seed.to_bytes(num_bytes, "big"),
    )
    return RunBuilder(paths, ticking(created_s))


def build_finished_run(home: LabHome, **changes: Any) -> RunBuilder:
    """Return a run whose stages have all ended, with skills measured after every model."""
    val_sha256 = changes.pop("val_sha256", VAL_TEXT)
    run = build_run(home, **changes)
    run.finish("data", artifact("corpus", "/corpus"))
    run.finish("tok", artifact("tokenizer", "artifacts/tok/tokenizer.json"))
    for index, stage in enumerate(("base", "mid", "sft")):
        bpb = 2.0 - index / 4
        run.finish(
            stage,
            step(1),
            step(100),
            Eval(step=100, val_bpb=bpb, val_sha256=val_sha256),
            checkpoint(stage, 100),
        )
        results = {task: skill(index / 4) for task in ("arithmetic", "counting", "spelling")}
        run.finish(
            f"eval-{stage}", Eval(step=100, val_bpb=bpb, val_sha256=val_sha256, results=results)
        )
    run.finish("report", artifact("report", "artifacts/report/report.md"))
    return run


def start(stage: str, attempt: int = 1) -> Start:
    return Start(
        stage=stage, attempt=attempt, config_hash="0" * 16, host="lab", device="cpu",
        torch=None, world_size=1, argv=("worker",),
    )  # fmt: skip


def step(number: int, **metrics: float) -> Step:
    values = {"loss": 4.0 - number / 100, "tok_per_sec": 23_800.0, "mfu": 0.41, **metrics}
    return Step(step=number, total_steps=100, metrics=values)


def checkpoint(stage: str, number: int) -> Checkpoint:
    return Checkpoint(
        step=number, path=f"checkpoints/{stage}/step_{number}", bytes=1 << 20, sha256="c" * 64
    )


def artifact(name: str, path: str) -> Artifact:
    return Artifact(name=name, path=path, bytes=4096, sha256="d" * 64)


def skill(accuracy: float) -> dict[str, float]:
    return {"accuracy": accuracy, "n": 200, "chance": 0.01, "base": 0.0}
