"""What a training tells of itself: how it is set up, and then each of its steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from core.device import device_name
from core.peak_memory import process_peak_bytes
from core.scaling import flops_per_token
from core.train.job import Progressed, Training
from core.train.pace import Pace
from core.train.phases import Phases, phase_metrics
from core.train.step import StepResult
from runs.events import Note, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a model is trained on this machine.

    why_eager: why training is not compiled; None where it is.
    peak_flops: what MFU is measured against, of one rank; None where no figure is known.
    """

    why_eager: str | None
    num_fp8_layers: int
    peak_flops: float | None

    @property
    def is_compiled(self) -> bool:
        """Whether the first step builds kernels."""
        return self.why_eager is None


def setup_note(job: Training, setup: Setup) -> Note:
    """Return the note that says how the model is trained."""
    where = job.ranks.device.type
    yardstick = "this CPU's own best matmul" if where == "cpu" else "the vendor's peak"
    how = setup.why_eager or "training is compiled; the first step builds the kernels"
    return Note(
        message=f"{how}; MFU is against {yardstick}",
        data={
            "dtype": str(job.model.dtype).removeprefix("torch."),
            "is_compiled": setup.is_compiled,
            "attention": job.model.attend.backend,
            "num_fp8_layers": setup.num_fp8_layers,
            "peak_flops": setup.peak_flops,
            "device": device_name(job.ranks.device),
            "threads": torch.get_num_threads(),
            "num_params": sum(p.numel() for p in job.model.parameters()),
        },
    )


class StepTeller:
    """Makes the events of the steps of one attempt, in their order."""

    def __init__(self, job: Training, setup: Setup, phases: Phases) -> None:
        self._job = job
        self._setup = setup
        self._phases = phases
        self._pace = Pace()
        self._peak_bytes = 0

    def event(
        self, at: Progressed, result: StepResult, *, seconds: float, lr_multiplier: float
    ) -> Step:
        """Return the event of the step that brought the stage to `at` in so many seconds."""
        job = self._job
        self._pace.add(seconds)
        # Linux counts a process's peak per thread, and may tell a little less than it told before.
        self._peak_bytes = max(self._peak_bytes, _peak_memory_bytes(job.ranks.device))
        tokens = job.config.total_batch_size
        assert at.loss_ema is not None
        metrics = {
            "loss": result.loss,
            "loss_ema": round(at.loss_ema, 6),
            "tokens": at.tokens,
            "train_s": round(at.train_s, 4),
            "flops": at.flops,
            "tok_per_sec": round(tokens / seconds, 1),
            "lrm": round(lr_multiplier, 6),
            "grad_norm": result.grad_norm,
            "epoch": job.rows.epoch_of(at.num_rows - 1),
            "peak_memory_bytes": self._peak_bytes,
            **phase_metrics(self._phases.take()),
        }
        if at.scaler is not None:
            metrics |= {"loss_scale": at.scaler.scale, "skipped": float(result.is_skipped)}
        if result.is_skipped:
            del metrics["grad_norm"]
        if self._setup.peak_flops is not None:
            achieved = tokens * flops_per_token(job.model.config) / seconds
            peak = self._setup.peak_flops * job.ranks.world_size
            metrics["mfu"] = round(achieved / peak, 4)
        if (eta_s := self._pace.eta_s(job.total_steps - at.step)) is not None:
            metrics["eta_s"] = round(eta_s, 1)
        return Step(step=at.step, total_steps=job.total_steps, metrics=metrics)


def _peak_memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return process_peak_bytes()
