"""Runs the base stage as a process of its own, or as one of its ranks.

Rank 0 kills itself after step `kill_after` when that is given. With `first_scale` a training in
float16 starts from that loss scale; `broken_token` has no number in its embedding; with `is_ahead`
numbers are read a step later, as on a GPU. Every rank
leaves told.R.jsonl: its process id, then the steps, measurements and end that it told, or why it
failed.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import torch

from core.model import GPT
from core.stages import base
from core.stages.context import CheckpointRef, Input
from core.train import device_batch, loop
from core.train.precision import Scaler, ScalerState, scaler_for
from runs.errors import StageFailed
from runs.events import End, Eval, Event, Step
from tests.core.builders import base_config, context


def main(root: Path, options: dict[str, object]) -> None:
    """Train in `root`, which holds a world made by `make_world`; options are settings and ours."""
    options = dict(options)
    inputs = {
        "corpus": Input(path=root / "data" / "corpus", sha256="c"),
        "tokenizer": Input(path=root / "tokenizer.json", sha256="t"),
    }
    start_from(options.pop("first_scale", None))
    break_token(options.pop("broken_token", None))
    if options.pop("is_ahead", False):
        vars(loop)["runs_ahead"] = lambda device: True
    kill_after = options.pop("kill_after", None)
    name = str(options.pop("name", "base"))
    estimates = options.pop("estimates", None)
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if isinstance(estimates, list):
        vars(device_batch)["estimated_rows"] = lambda *counts, **told: estimates[rank]
    ctx = context(root / name, inputs, rank=rank, world_size=world)
    committed = sorted(ctx.checkpoints_dir.glob("step_*/COMMITTED"))
    resume = None
    if committed:
        path = committed[-1].parent
        resume = CheckpointRef(path=path, step=int(path.name.removeprefix("step_")))
    is_stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: is_stopping.set())
    (root / name).mkdir(exist_ok=True)
    with open(root / name / f"told.{rank}.jsonl", "w", buffering=1) as told:
        told.write(json.dumps({"pid": os.getpid()}) + "\n")
        config = base_config(**options)
        for event in told_of(base.run(config, ctx, stop=is_stopping.is_set, resume=resume), told):
            if line := _line(event):
                told.write(line + "\n")
            if isinstance(event, Step) and rank == 0 and event.step == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)


def told_of(events: Iterator[Event], told: TextIO) -> Iterator[Event]:
    """Pass on the events, and write down why they end if they fail."""
    try:
        yield from events
    except StageFailed as error:
        told.write(json.dumps({"failed": str(error)}) + "\n")
        raise


def _line(event: Event) -> str:
    match event:
        case Step():
            return json.dumps({"step": event.step, "loss": event.metrics["loss"]})
        case Eval():
            return json.dumps({"step": event.step, "val_bpb": event.val_bpb})
        case End():
            return json.dumps({"end": event.reason})
    return ""


def start_from(scale: object) -> None:
    """Let a training in float16 that is not resumed start from a loss scale."""
    if isinstance(scale, float):
        given = ScalerState(scale=scale)

        def scaler(dtype: torch.dtype, state: ScalerState | None = None) -> Scaler | None:
            return scaler_for(dtype, state or given)

        vars(loop)["scaler_for"] = scaler


def break_token(token: object) -> None:
    """Let a new model have no number for a token."""
    if isinstance(token, int):
        whole = GPT.init_weights

        def broken(model: GPT, generator: torch.Generator) -> None:
            whole(model, generator)
            with torch.no_grad():
                model.wte.weight[token] = torch.nan

        setattr(GPT, "init_weights", broken)  # noqa: B010 - mypy lets no method be replaced
