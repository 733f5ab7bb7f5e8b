"""One optimizer step: micro-batches, the sum over ranks, the schedules, the update."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import schedule
from core.config import TrainConfig
from core.data.packing import Rows
from core.loss import LossFn
from core.model import GPT
from core.optim.groups import StepRates
from core.optim.muon_adamw import MuonAdamW
from core.ranks import Ranks
from core.scaling import micro_batches
from core.train.phases import Phases
from core.train.precision import Scaler, ScalerState
from runs.errors import StageFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one step measured, equal on all ranks.

    is_skipped: the gradients overflowed float16, and nothing was changed but the loss scale.
    """

    loss: float
    grad_norm: float
    num_targets: int
    is_skipped: bool = False


class Stepper:
    """Carries a model from one step to the next; its only state is the model's and optimizer's."""

    def __init__(
        self,
        model: GPT,
        optimizer: MuonAdamW,
        rows: Rows,
        config: TrainConfig,
        ranks: Ranks,
        *,
        loss_fn: LossFn,
        total_steps: int,
        phases: Phases,
        scaler: Scaler | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.rows = rows
        self.config = config
        self.ranks = ranks
        self.total_steps = total_steps
        self._loss_fn = loss_fn
        self._phases = phases
        self._scaler = scaler
        self._num_micro = micro_batches(config, model.config.sequence_len, ranks.world_size)

    @property
    def scaler_state(self) -> ScalerState | None:
        """The loss scale after the last step; None where the type needs none."""
        return None if self._scaler is None else self._scaler.state

    @property
    def rows_per_step(self) -> int:
        """Rows that all ranks together read in one step."""
        return self._num_micro * self.config.num_device_rows * self.ranks.world_size

    def rates(self, step: int) -> StepRates:
        """Return the schedules' values for the update that makes step `step` + 1."""
        return scheduled_rates(self.config, step, self.total_steps)

    def run(self, step: int, first_row: int) -> StepResult:
        """Make one step from the rows that start at `first_row`.

        Raises:
            StageFailed: the loss or a gradient is not finite; the model is left unchanged.
        """
        with self._phases("data"):
            num_targets = max(1, self.rows.count_targets(first_row, self.rows_per_step))
        self.optimizer.zero_grad()
        loss = 0.0
        per_pass = self.rows_per_step // self._num_micro
        for micro in range(self._num_micro):
            row = first_row + micro * per_pass + self.ranks.rank
            loss += self._accumulate(row, num_targets)
        with self._phases("sync"):
            loss = self.ranks.sum_number(loss)
            if self._scaler is not None:
                self._scaler.unscale(
                    [p.grad for p in self.model.parameters() if p.grad is not None]
                )
            grad_norm = float(self.optimizer.reduce())
        is_finite = math.isfinite(grad_norm)
        if self._scaler is not None and math.isfinite(loss):
            self._scaler.update(is_finite=is_finite)
            if not is_finite:
                return StepResult(
                    loss=loss, grad_norm=grad_norm, num_targets=num_targets, is_skipped=True
                )
        if not math.isfinite(loss) or not is_finite:
            raise StageFailed(
                f"loss {loss} and gradient norm {grad_norm} at step {step + 1}; lower the "
                "learning rates and resume from the last checkpoint"
            )
        with self._phases("optimizer"):
            self.optimizer.step(self.rates(step))
        return StepResult(loss=loss, grad_norm=grad_norm, num_targets=num_targets)

    def _accumulate(self, row: int, num_targets: int) -> float:
        with self._phases("data"):
            count, stride = self.config.num_device_rows, self.ranks.world_size
            batch = self.rows.batch(row, count, stride=stride)
            idx_BT, targets_BT = (self._to_device(array) for array in batch)
        with self._phases("forward-backward"):
            x_BTC, value_embeds = self.model.embed(idx_BT)
            loss = self._loss_fn(self.model, x_BTC, value_embeds, targets_BT) / num_targets
            scaled = loss if self._scaler is None else self._scaler.scale(loss)
            scaled.backward()
            return float(loss.detach())

    def _to_device(self, array: npt.NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(self.ranks.device)


def scheduled_rates(config: TrainConfig, step: int, total_steps: int) -> StepRates:
    """Return the schedules' values for the update that makes step `step` + 1 of a stage."""
    decay = config.weight_decay * schedule.weight_decay_multiplier(step, total_steps)
    return StepRates(
        lr_multiplier=schedule.lr_multiplier(
            step,
            total_steps,
            warmup_ratio=config.warmup_ratio,
            warmdown_ratio=config.warmdown_ratio,
            final_frac=config.final_lr_frac,
        ),
        momentum=_momentum(config, step, total_steps),
        weight_decay=decay,
    )


def _momentum(config: TrainConfig, step: int, total_steps: int) -> float:
    if config.optimizer == "classic":
        return schedule.classic_momentum(step, warmup_steps=config.momentum_warmup_steps)
    return schedule.muon_momentum(
        step,
        total_steps,
        warmdown_ratio=config.warmdown_ratio,
        warmup_steps=config.momentum_warmup_steps,
    )
