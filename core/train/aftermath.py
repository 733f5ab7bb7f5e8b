"""What follows a loss that stood out: the losses of the next steps, added to the file of its batch.

The file is there from the moment that the spike is told, and is written again after each of these
steps: a kill between them leaves what was known, and the next attempt adds what is missing. Like
the file itself this is a help: where the disk is full, training goes on without it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.stages.artifacts import write_artifact
from core.stages.context import StageContext
from runs.events import Artifact, Event

# Enough to tell a batch that was left behind from a training that has gone astray.
NUM_AFTER = 8
SPIKE = "loss-spike"


def report_name(step: int) -> str:
    """Return how the file with the batch of a step is called, but for its ending."""
    return f"batch-{step}"


class Aftermath:
    """Adds losses to the files of spikes, those of earlier attempts among them."""

    def __init__(self, ctx: StageContext) -> None:
        self._ctx = ctx
        # By the step of a spike, the losses that its file holds so far.
        self._open: dict[int, list[float | str]] = {}
        if ctx.rank == 0:
            for path in ctx.artifacts_dir.glob("batch-*.json"):
                body = _read(path)
                losses = [] if body is None else body.get("losses_after", [])
                if body is not None and len(losses) < NUM_AFTER:
                    self._open[body["step"]] = losses

    def begin(self, step: int) -> None:
        """Wait for what follows a spike whose file was just written."""
        if self._ctx.rank == 0:
            self._open[step] = []

    def add(self, step: int, loss: float) -> Iterator[Event]:
        """Take the loss of a step, and yield the files that hold it now."""
        for spike_step, losses in list(self._open.items()):
            place = step - spike_step - 1
            # Not there yet, or made again after a resume: then it is the same to the bit.
            if place < len(losses):
                continue
            losses.append(loss if math.isfinite(loss) else str(loss))
            # Where an attempt ended before a step between was written, what is there is all.
            is_next = place == len(losses) - 1
            artifact = self._write(spike_step, losses) if is_next else None
            if artifact is not None:
                yield artifact
            if artifact is None or len(losses) == NUM_AFTER:
                del self._open[spike_step]

    def _write(self, step: int, losses: list[float | str]) -> Artifact | None:
        name = report_name(step)
        body = _read(self._ctx.artifacts_dir / f"{name}.json")
        if body is None:
            return None
        rows = body.pop("rows", [])
        text = json.dumps({**body, "losses_after": losses, "rows": rows}, indent=1) + "\n"
        try:
            return write_artifact(self._ctx, f"{name}.json", text, name=name)
        except OSError:
            return None


def _read(path: Path) -> dict[str, Any] | None:
    """Return what the file of a spike holds; None where it is none, is damaged or has gone."""
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(body, dict) or body.get("reason") != SPIKE:
        return None
    is_whole = isinstance(body.get("step"), int) and isinstance(body.get("losses_after", []), list)
    return body if is_whole else None
