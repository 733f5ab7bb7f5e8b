"""Lab homes made for measuring: many ended runs with event logs, metrics and summaries.

Curves are noise around a falling loss: what a real curve compresses to, or worse.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs.create import create_run
from runs.events import Checkpoint, End, Eval, Event, Start, Step, encode
from runs.ids import new_ulid
from runs.metrics.compact import compact_stage, write_metrics
from runs.metrics.points import AXES, Points
from runs.metrics.sketches import write_sketch
from runs.paths import LabHome, RunPaths
from runs.views.facts import event_files
from runs.views.summary import write_summary

if TYPE_CHECKING:
    from numpy.typing import NDArray

STAGES = ("data", "tok", "base", "eval-base", "mid", "eval-mid", "sft", "eval-sft", "report")
MODEL_STAGES = ("base", "mid", "sft")
METRICS = (
    "loss", "tokens", "train_s", "flops", "tok_per_sec", "mfu", "lrm", "grad_norm", "lr", "dt",
)  # fmt: skip
NUM_DIFFERENT = 10
START_S = 1_763_690_000.0


def seeded(seed: int) -> random.Random:
    """Return a source of the noise in made-up metrics."""
    return random.Random(seed)


def make_runs(
    home: LabHome, num: int, *, num_steps: int = 20, is_compacted: bool = True
) -> list[Path]:
    """Create `num` finished runs of nine stages and return their directories.

    Every model stage has ten metrics at `num_steps` steps; the supervisor's log has heartbeats.
    Without `is_compacted` all that is derived is left to be made. Every tenth run is new, the
    others are copies of those under names of their own.
    """
    rng = random.Random(1)
    template = _template(home)
    made: list[RunPaths] = []
    for index in range(num):
        paths = _copy_run(template, index, rng)
        if index < NUM_DIFFERENT:
            _fill(paths, num_steps, rng, is_compacted=is_compacted)
        else:
            _fill_like(paths, made[index % NUM_DIFFERENT])
        made.append(paths)
    return [paths.run_dir for paths in made]


def _fill(paths: RunPaths, num_steps: int, rng: random.Random, *, is_compacted: bool) -> None:
    paths.events_dir.mkdir()
    for stage in STAGES:
        paths.events(stage, 1).write_bytes(_lines(_events(stage, num_steps, rng)))
    paths.control.write_bytes(b"".join(_control_lines()))
    if is_compacted:
        for stage in MODEL_STAGES:
            compact_stage(paths.run_dir, stage)
        write_summary(paths.run_dir)


def _fill_like(paths: RunPaths, other: RunPaths) -> None:
    for path in other.run_dir.rglob("*"):
        target = paths.run_dir / path.relative_to(other.run_dir)
        if path.is_dir():
            target.mkdir()
        elif path == other.summary:
            old_id, _, old_slug = other.run_dir.name.partition("-")
            new_id, _, new_slug = paths.run_dir.name.partition("-")
            text = path.read_text(encoding="utf-8")
            text = text.replace(old_id, new_id).replace(f'"{old_slug}"', f'"{new_slug}"')
            target.write_text(text, encoding="utf-8")
        elif path != other.run_json:
            shutil.copyfile(path, target)


def make_curves(
    home: LabHome, num: int, num_steps: int, *, heed: Callable[[int], object] = lambda _: None
) -> list[Path]:
    """Create `num` runs whose stage base has ten compacted curves of `num_steps` points each.

    Their event logs hold no steps, so that 100 million points take 1 GB and not 5. `heed` is
    called with the number of runs made so far.
    """
    rng = random.Random(1)
    template = _template(home)
    made = []
    for index in range(num):
        paths = _copy_run(template, index, rng)
        paths.events_dir.mkdir()
        paths.events("base", 1).write_bytes(_lines([_start("base"), End(reason="finished")]))
        points = make_points(num_steps, index)
        write_metrics(paths.metrics("base"), points, event_files(paths.run_dir)["base"])
        write_sketch(paths.sketch("base"), points)
        made.append(paths.run_dir)
        heed(index + 1)
    return made


def metrics_at(step: int, rng: random.Random) -> dict[str, float]:
    """Return the ten scalars that a training logs at a step."""
    return {
        "loss": 3.0 / (1 + step / 50) ** 0.3 + rng.random() / 20,
        "tokens": step * 524_288,
        "train_s": step * 0.317,
        "flops": step * 1.1e15,
        "tok_per_sec": 23_800 + 500 * rng.random(),
        "mfu": 0.41 + rng.random() / 100,
        "lrm": 1.0,
        "grad_norm": rng.random(),
        "lr": 0.02,
        "dt": 0.31 + rng.random() / 100,
    }


def make_points(num_steps: int, seed: int) -> dict[str, Points]:
    """Return ten curves of `num_steps` points each, as they are read from logs."""
    import numpy as np

    rng = np.random.default_rng(seed)
    step = np.arange(num_steps, dtype=np.int64)
    noise = rng.random(num_steps)
    values: dict[str, NDArray[Any]] = {
        "loss": 3.0 / (1 + step / 50) ** 0.3 + noise / 20,
        "tokens": step * 524_288.0,
        "train_s": np.round(step * 0.317, 3),
        "flops": step * 1.1e15,
        "tok_per_sec": 23_800 + 500 * rng.random(num_steps),
        "mfu": 0.41 + noise / 100,
        "lrm": np.ones(num_steps),
        "grad_norm": rng.random(num_steps),
        "lr": np.full(num_steps, 0.02),
        "dt": 0.31 + noise / 100,
    }
    shared: dict[str, Any] = {
        "step": step,
        "t": START_S + values["train_s"],
        "attempt": np.ones(num_steps, dtype=np.int64),
        "is_ghost": np.zeros(num_steps, dtype=np.bool_),
        "axes": {axis: values[axis] for axis in AXES},
    }
    return {key: Points(value=values[key], **shared) for key in METRICS}


def _template(home: LabHome) -> dict[str, Any]:
    # One run as it is really created; the others differ in what names them.
    plan = {
        "recipe": "speedrun",
        "preset": "cpu",
        "stages": [
            {
                "stage": stage,
                "config": {"seed": 42, "depth": 12, "lr": 0.02, "batch_tokens": 524_288},
                "config_hash": f"{index:016x}",
                "inputs": {},
                "total": 100,
            }
            for index, stage in enumerate(STAGES)
        ],
        "model": {"num_params": 11_534_336, "depth": 4, "n_embd": 256},
        "tokens": 1_000_000,
    }
    paths = create_run(home, plan=plan, recipe="speedrun", preset="cpu")
    record: dict[str, Any] = json.loads(paths.run_json.read_bytes())
    for path in paths.run_dir.iterdir():
        path.unlink()
    paths.run_dir.rmdir()
    record["home"] = str(home.root)
    return record


def _copy_run(template: dict[str, Any], index: int, rng: random.Random) -> RunPaths:
    created_s = START_S + 60 * index
    run_id = new_ulid(clock=lambda: created_s, entropy=rng.randbytes)
    slug = f"speedrun-{index}"
    record = {**template, "run_id": run_id, "slug": slug, "name": slug, "created_s": created_s}
    home = LabHome(Path(record.pop("home")))
    paths = RunPaths(home.runs_dir / f"{run_id}-{slug}")
    paths.run_dir.mkdir(parents=True)
    paths.run_json.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return paths


def _events(stage: str, num_steps: int, rng: random.Random) -> list[Event]:
    if stage not in MODEL_STAGES:
        skills = {"spelling": {"accuracy": rng.random(), "n": 200.0, "chance": 0.01}}
        measured = [Eval(step=num_steps, results=skills)] if stage.startswith("eval") else []
        return [_start(stage), *measured, End(reason="finished")]
    steps = [
        Step(step=step, total_steps=num_steps, metrics=metrics_at(step, rng))
        for step in range(1, num_steps + 1)
    ]
    bpb = Eval(step=num_steps, val_bpb=1 + rng.random(), val_sha256="a" * 64)
    path = f"checkpoints/{stage}/step_{num_steps}"
    saved = Checkpoint(step=num_steps, path=path, bytes=1 << 20, sha256="c" * 64)
    return [_start(stage), *steps, bpb, saved, End(reason="finished")]


def _lines(events: Sequence[Event]) -> bytes:
    return b"".join(encode(event, seq=seq, t=START_S + seq) for seq, event in enumerate(events))


def _start(stage: str) -> Start:
    return Start(
        stage=stage,
        attempt=1,
        config_hash="0" * 16,
        host="lab",
        device="cpu",
        torch="2.15.0",
        world_size=1,
        argv=("-m", "labcli.worker"),
    )


def _control_lines() -> list[bytes]:
    who = {"pid": 2**22, "start_ticks": 1, "boot_id": "0"}
    records: list[dict[str, Any]] = [{"kind": "supervisor", **who}]
    for stage in STAGES:
        place = {"stage": stage, "attempt": 1}
        records += [{"kind": "launch", **place}, {"kind": "stage", **place, **who}]
        records += [{"kind": "heartbeat"} for _ in range(6)]
        records += [{"kind": "exit", **place, "code": 0}, {"kind": "done", **place}]
    records.append({"kind": "state", "state": "finished"})
    return [
        json.dumps({"v": 1, "t": START_S + second, **record}).encode() + b"\n"
        for second, record in enumerate(records)
    ]
