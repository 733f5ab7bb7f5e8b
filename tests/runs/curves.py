"""Runs of one base stage with curves that a test has chosen."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from runs.events import End, Eval, Event, Step
from runs.ids import new_ulid
from runs.paths import LabHome, RunPaths
from runs.record import DEFAULT_WORKER, RunRecord, plan_hash, write_record
from runs.views.card import RunCard
from runs.views.query import load_run
from tests.builders import START_S, VAL_TEXT, RunBuilder, ticking

TOKENS_PER_STEP = 1024
STEP_S = 2.0
NOW_S = START_S + 3 * 86_400
_numbers = itertools.count(1)


def train(
    home: LabHome,
    name: str,
    losses: Sequence[float] = (),
    *,
    bpbs: dict[int, float] | None = None,
    params: float = 1e6,
    settings: dict[str, Any] | None = None,
    lrm: Callable[[int], float] = lambda step: 1.0,
    step_s: float = STEP_S,
    val_sha256: str = VAL_TEXT,
    is_finished: bool = True,
    usd_per_hour: float | None = None,
    tags: Sequence[str] = (),
    total: int | None = None,
    argv: Sequence[str] = (),
) -> RunBuilder:
    """Return a run whose steps count tokens, seconds and 6 FLOPs per parameter and token."""
    number = next(_numbers)
    created_s = START_S + 60 * number
    config = {"seed": 42, "depth": 2, "matrix_lr": 0.02, "compile": "auto", **(settings or {})}
    plan = {
        "recipe": "base",
        "preset": "cpu",
        "device": "cpu",
        "stages": [
            {
                "stage": "base",
                "config": config,
                "config_hash": "0" * 16,
                "inputs": {},
                "total": total or len(losses) or None,
            }
        ],
        "model": {"num_params": int(params), "depth": config["depth"]},
        "usd_per_hour": usd_per_hour,
        "time_s": 60.0,
    }
    paths = _record(home, name, plan, created_s, number, tags=tags, argv=argv)
    events = _events(losses, bpbs or {}, params, step_s, val_sha256, lrm, total)
    run = RunBuilder(paths, ticking(created_s))
    run.log("base", *events, *([End(reason="finished")] if is_finished else []))
    return run


def _record(
    home: LabHome,
    name: str,
    plan: dict[str, Any],
    created_s: float,
    number: int,
    *,
    tags: Sequence[str],
    argv: Sequence[str],
) -> RunPaths:
    run_id = new_ulid(clock=lambda: created_s, entropy=lambda num: number.to_bytes(num, "big"))
    slug = f"base-{number}"
    paths = RunPaths(home.runs_dir / f"{run_id}-{slug}")
    paths.run_dir.mkdir(parents=True)
    # Written as `create_run` would, but without asking git about every one of many runs.
    record = RunRecord(
        run_id=run_id,
        slug=slug,
        name=name,
        recipe="base",
        preset="cpu",
        plan=plan,
        plan_hash=plan_hash(plan),
        tags=tuple(tags),
        created_s=created_s,
        git={"sha": "1" * 40, "branch": "main", "is_dirty": False, "diff_path": None},
        packages={"torch": "2.15.0"},
        host={"hostname": "lab", "gpus": []},
        argv=tuple(argv),
        parents=(),
        inputs={},
        nproc=1,
        worker=DEFAULT_WORKER,
    )
    write_record(paths.run_dir, record)
    return paths


def _events(
    losses: Sequence[float],
    bpbs: dict[int, float],
    params: float,
    step_s: float,
    val_sha256: str,
    lrm: Callable[[int], float],
    total: int | None,
) -> list[Event]:
    events: list[Event] = []
    for step, loss in enumerate(losses, start=1):
        tokens = step * TOKENS_PER_STEP
        metrics = {
            "loss": loss,
            "tokens": tokens,
            "train_s": step * step_s,
            "flops": 6 * params * tokens,
            "lrm": lrm(step),
        }
        events.append(Step(step=step, total_steps=total or len(losses), metrics=metrics))
        if step in bpbs:
            events.append(Eval(step=step, val_bpb=bpbs[step], val_sha256=val_sha256))
    return events


def card(run: RunBuilder) -> RunCard:
    """Return the card of a run, three days after the first one began."""
    return RunCard(load_run(run.paths.run_dir), now_s=NOW_S)


def falling(num: int, floor: float = 2.0, scale: float = 6.0, rate: float = 0.5) -> list[float]:
    """Return losses that fall as a power law of the step."""
    return [floor + scale * step**-rate for step in range(1, num + 1)]
