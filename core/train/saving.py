"""Checkpoints of a training stage: room is made, one is written, and old ones go.

What a step measured is kept in a file beside the checkpoints: a checkpoint is committed before
its model is measured, and never changed. A full disk loses a checkpoint, never the training.
Only the first rank writes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from core import checkpoint
from core.files import replace_file
from core.optim.muon_adamw import MuonAdamW
from core.planning.disk import GB
from core.train.job import Progressed, Training
from core.train.retention import Kept, Policy, given_up, outdated
from runs.errors import StageFailed
from runs.events import Alert, Checkpoint, Event

MEASURED_FILE = "measured.json"
# The files of a checkpoint beside its tensors, and what a file system adds.
EXTRA_BYTES = 2**20


class Saver:
    """Writes the checkpoints of one stage, and keeps those that its settings ask for."""

    def __init__(self, job: Training, optimizer: MuonAdamW) -> None:
        self._job = job
        self._optimizer = optimizer
        self._dir = job.ctx.checkpoints_dir
        budget_gb = job.config.checkpoint_budget_gb
        self._policy = Policy(
            num_newest=job.config.keep_checkpoints,
            keeps_best=job.config.keep_best,
            budget_bytes=None if budget_gb is None else budget_gb * GB,
        )

    def save(
        self, at: Progressed, *, is_last: bool = False, is_stopping: bool = False
    ) -> Iterator[Event]:
        """Commit a checkpoint; all ranks call it, for each has a part of the moments to give.

        is_stopping: training ends here for now, whether or not there is a checkpoint.

        Raises:
            StageFailed: the checkpoint of the last step cannot be written.
        """
        if at.step == 0:
            return
        moments = self._optimizer.gathered_state()
        if moments is None:
            return
        try:
            yield from self._make_room(at.step, moments)
            saved = checkpoint.save(self._dir, self._job.model, moments, at.meta(self._job))
        except OSError as error:
            if is_last:
                raise StageFailed(
                    f"the final checkpoint of {self._job.ctx.stage} could not be written "
                    f"({error}); free some disk space, then: labcli runs resume"
                ) from error
            outlook = self._outlook() if is_stopping else "training goes on"
            yield Alert(
                code="checkpoint-failed",
                severity="error",
                message=f"no checkpoint at step {at.step}: {error}; {outlook}",
            )
            return
        self._tidy()
        yield Checkpoint(
            step=at.step,
            path=self._job.ctx.relative(saved.path),
            bytes=saved.num_bytes,
            sha256=saved.sha256,
        )

    def measured(self, step: int, val_bpb: float) -> None:
        """Keep what a step measured, and let go of what is no longer the best."""
        if self._job.ranks.rank != 0:
            return
        by_step = {**self._measured(), str(step): val_bpb}
        try:
            replace_file(
                self._dir / MEASURED_FILE, json.dumps({"v": 1, "val_bpb": by_step}).encode()
            )
        except OSError:
            # A full disk: the checkpoint counts as one that was not measured.
            return
        self._tidy()

    def _outlook(self) -> str:
        newest = max(checkpoint.committed_steps(self._dir), default=0)
        return f"a resumed run goes on from step {newest}"

    def _tidy(self) -> None:
        """Let go of what is outdated; what cannot be removed is tried at the next checkpoint."""
        with suppress(OSError):
            self._remove(outdated(self._found(), self._policy))

    def _make_room(self, step: int, moments: Mapping[str, Tensor]) -> Iterator[Event]:
        """Remove what has to go for the next checkpoint; OSError when nothing would help."""
        if (checkpoint.step_dir(self._dir, step) / checkpoint.COMMITTED).is_file():
            return
        tensors = (*self._job.model.state_dict().values(), *moments.values())
        needed = sum(tensor.nbytes for tensor in tensors) + EXTRA_BYTES
        self._dir.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._dir).free
        going = given_up(self._found(), self._policy, needed_bytes=needed, free_bytes=free)
        if going is None:
            raise OSError(f"it takes {needed / GB:.2f} GB, and {free / GB:.2f} GB are free")
        if going:
            self._remove(going)
            steps = ", ".join(str(kept.step) for kept in going)
            yield Alert(
                code="checkpoint-removed",
                severity="warning",
                message=f"the disk is nearly full: the checkpoints of steps {steps} made room for "
                f"that of step {step}",
            )

    def _found(self) -> list[Kept]:
        measured = self._measured()
        return [
            Kept(step=step, num_bytes=num_bytes, val_bpb=measured.get(str(step)))
            for step, num_bytes in checkpoint.committed_steps(self._dir).items()
        ]

    def _measured(self) -> dict[str, float]:
        return read_measured(self._dir)

    def _remove(self, going: Sequence[Kept]) -> None:
        for kept in going:
            checkpoint.remove(self._dir, kept.step)


def read_measured(checkpoints_dir: Path) -> dict[str, float]:
    """Return validation bits per byte by step; nothing when the file is missing or damaged."""
    try:
        body = json.loads((checkpoints_dir / MEASURED_FILE).read_bytes())
        return {str(step): float(bpb) for step, bpb in body["val_bpb"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
