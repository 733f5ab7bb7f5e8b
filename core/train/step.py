"""One optimizer step: micro-batches, the sum over ranks, the schedules, the update."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import schedule
from core.data.packing import Rows
from core.device import exact_dtype
from core.loss import LossFn
from core.model import GPT
from core.optim.groups import StepRates
from core.optim.muon_adamw import MuonAdamW
from core.ranks import Ranks
from core.scaling import micro_batches
from core.settings.training import TrainConfig
from core.train.phases import Phases
from core.train.precision import Scaler, ScalerState


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one step measured, equal on all ranks; what is not finite has changed no weight.

    is_skipped: the gradients overflowed float16, and nothing was changed but the loss scale.
    """

    loss: float
    grad_norm: float
    agreed: Flags
    is_skipped: bool = False

    @property
    def is_finite(self) -> bool:
        """Whether training can go on from here: the step was applied, or rightly left out."""
        return math.isfinite(self.loss) and (self.is_skipped or math.isfinite(self.grad_norm))


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What a rank says beside its loss, and then whether any rank said it.

    is_stopping: it was told to stop. is_waiting: the rows of the steps to come are not all there.
    """

    is_stopping: bool = False
    is_waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A step that was asked for; its numbers may still be on their way from the device."""

    step: int
    first_row: int
    begun_s: float
    numbers: Tensor
    arrival: torch.cuda.Event | None
    is_skipped: bool

    def read(self) -> StepResult:
        """Return the numbers, waiting for the device to come to this step and no further."""
        if self.arrival is not None:
            self.arrival.synchronize()
        loss, num_stopping, num_waiting, grad_norm = self.numbers.tolist()
        return StepResult(
            loss=loss,
            grad_norm=grad_norm,
            agreed=Flags(is_stopping=num_stopping > 0, is_waiting=num_waiting > 0),
            is_skipped=self.is_skipped,
        )


def runs_ahead(device: torch.device) -> bool:
    """Return whether a device is asked for the next step before the last one's numbers."""
    return device.type == "cuda"


class Stepper:
    """Carries a model from one step to the next; its only state is the model's and optimizer's.

    runs_ahead: the device is never asked for a number before the step after it was launched; not
    with a scaler, whose next scale hangs on the numbers of the step. From the first step whose
    numbers are not finite the device leaves all of them out: those that the host had launched
    before it knew find, and leave, the model that gave no numbers.
    """

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
        runs_ahead: bool = False,
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
        self.runs_ahead = runs_ahead and scaler is None
        self._is_broken = torch.zeros((), dtype=torch.bool, device=ranks.device)
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

    def launch(self, step: int, first_row: int, own: Flags) -> Launched:
        """Make step `step` + 1 from the rows that start at `first_row`, and wait for no number.

        A step whose loss or gradient is not finite changes neither weights nor moments. What all
        ranks say in `own` comes with the numbers.

        Raises:
            StageFailed: float16 overflows at every loss scale.
        """
        begun_s = time.perf_counter()
        with self._phases("data"):
            num_targets = max(1, self.rows.count_targets(first_row, self.rows_per_step))
        self.optimizer.zero_grad()
        device = self.ranks.device
        loss = torch.zeros((), dtype=exact_dtype(device), device=device)
        per_pass = self.rows_per_step // self._num_micro
        for micro in range(self._num_micro):
            row = first_row + micro * per_pass + self.ranks.rank
            loss += self._accumulate(row, num_targets)
        with self._phases("sync"):
            # One small message for all that the ranks have to agree on.
            flags = (own.is_stopping, own.is_waiting)
            told = torch.stack((loss, *(torch.full_like(loss, flag) for flag in flags)))
            self.ranks.sum_in_place(told)
            if self._scaler is not None:
                self._scaler.unscale(
                    [p.grad for p in self.model.parameters() if p.grad is not None]
                )
            grad_norm = self.optimizer.reduce()
        with self._phases("optimizer"):
            is_skipped = self._apply(step, told[0], grad_norm)
        numbers, arrival = _sent_home(torch.cat((told, grad_norm.to(told.dtype)[None])))
        return Launched(
            step=step + 1,
            first_row=first_row,
            begun_s=begun_s,
            numbers=numbers,
            arrival=arrival,
            is_skipped=is_skipped,
        )

    def _apply(self, step: int, loss: Tensor, grad_norm: Tensor) -> bool:
        """Change the weights if the numbers are finite; return whether float16 overflowed."""
        if self.runs_ahead:
            # Asking the device would hold it up.
            self._is_broken |= ~(loss.isfinite() & grad_norm.isfinite())
            self.optimizer.step(self.rates(step), self._is_broken)
            return False
        is_finite = bool(grad_norm.isfinite())
        if not loss.isfinite():
            return False
        if self._scaler is not None:
            self._scaler.update(is_finite=is_finite)
        if is_finite:
            self.optimizer.step(self.rates(step))
        return self._scaler is not None and not is_finite

    def _accumulate(self, row: int, num_targets: int) -> Tensor:
        with self._phases("data"):
            count, stride = self.config.num_device_rows, self.ranks.world_size
            batch = self.rows.batch(row, count, stride=stride)
            idx_BT, targets_BT = (self._to_device(array) for array in batch)
        with self._phases("forward-backward"):
            x_BTC, value_embeds = self.model.embed(idx_BT)
            loss = self._loss_fn(self.model, x_BTC, value_embeds, targets_BT) / num_targets
            scaled = loss if self._scaler is None else self._scaler.scale(loss)
            scaled.backward()
            return loss.detach()

    def _to_device(self, array: npt.NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(array)
        if self.ranks.device.type != "cuda":
            return tensor.to(self.ranks.device)
        # From pageable memory the copy would wait for everything that the device has to do.
        return tensor.pin_memory().to(self.ranks.device, non_blocking=True)


def _sent_home(numbers: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """Return numbers on their way to the host, and on CUDA the event of their arrival.

    Read from the device, they would come after all that was asked of it in the meantime.
    """
    if numbers.device.type != "cuda":
        return numbers, None
    home = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    home.copy_(numbers, non_blocking=True)
    arrival = torch.cuda.Event()
    arrival.record()
    return home, arrival


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
