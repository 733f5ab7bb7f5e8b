"""Finished runs of one stage that differ in a few settings, for comparisons."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from runs.create import create_run
from runs.events import Checkpoint, End, Eval, Heartbeat, Step
from runs.paths import LabHome
from tests.tui.builders import RunBuilder, Ticker

NUM_STEPS = 120


def compared_run(
    root: Path,
    *,
    name: str,
    t: float,
    depth: int = 4,
    seed: int = 42,
    lr: float = 0.6,
    level: float = 1.6,
    stages: tuple[str, ...] = ("base",),
) -> RunBuilder:
    """Return a finished run whose validation ends near `level` bits per byte."""
    config = {"seed": seed, "depth": depth, "matrix_lr": lr, "num_iterations": NUM_STEPS}
    plan = {
        "recipe": "speedrun",
        "preset": "cpu",
        "model": {"arch": "current", "num_params": depth**3 * 100_000, "depth": depth},
        "stages": [
            {
                "stage": stage,
                "config": config,
                "config_hash": f"{seed:016x}",
                "inputs": {},
                "total": NUM_STEPS,
            }
            for stage in stages
        ],
    }
    clock = Ticker(t)
    paths = create_run(
        LabHome(root),
        plan=plan,
        recipe="speedrun",
        preset="cpu",
        name=name,
        argv=("labcli", "run", "speedrun", "--name", name),
        clock=clock,
        entropy=np.random.default_rng([seed, *name.encode()]).bytes,
    )
    run = RunBuilder(paths, clock).supervised()
    for stage in stages:
        _train(run, stage, depth=depth, seed=seed, level=level)
    run.ended("finished")
    return run


def _train(run: RunBuilder, stage: str, *, depth: int, seed: int, level: float) -> None:
    noise = np.random.default_rng(seed).standard_normal(NUM_STEPS + 1)
    with run.attempt(stage) as log:
        for number in range(1, NUM_STEPS + 1):
            run.clock.t += 0.1
            loss = 2 * level + 5 * math.exp(-number / 30) + 0.02 * float(noise[number])
            spent = {"tokens": number * 4096.0, "train_s": number * 0.1 * depth / 4}
            work = {"flops": number * 1e11 * depth**3, "lrm": 1.0}
            log.append(Step(step=number, metrics={"loss": loss, **spent, **work}))
            if number % 20 == 0:
                bpb = level + 1.1 * math.exp(-number / 40) + 0.002 * float(noise[number])
                log.append(Eval(step=number, val_bpb=bpb, val_sha256="5f" * 32))
                path = f"checkpoints/{stage}/step_{number:06d}"
                log.append(Checkpoint(step=number, path=path, bytes=48_300_000, sha256="ab" * 32))
        log.append(Heartbeat())
        log.append(End(reason="finished"))
    run.exited(stage)
