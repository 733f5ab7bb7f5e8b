"""Training in float16: the loss is scaled up, so that small gradients do not vanish.

All parameters, the tables of embeddings too, are stored in float32 and cast where they are used.
(nanochat stores the tables in bfloat16: half the bytes, but an update below 1/256 of a weight is
lost, and a checkpoint is of one type.) So gradients are float32 as well; it is the values between
layers that are float16, whose smallest is 6e-8 and whose largest is 65,504. Scales are powers of
two: scaling and unscaling change no digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from runs.errors import StageFailed
from runs.events import Alert

FIRST_SCALE = 2.0**16
LARGEST_SCALE = 2.0**24
# So many steps without an overflow, and a larger scale is tried.
GROWTH_INTERVAL = 2000
# After so many overflows in a row something else than the first scale is wrong.
MANY_SKIPPED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerState:
    """What a checkpoint keeps, so that a resumed run scales as the uninterrupted one would.

    num_good: steps since the scale last changed.
    num_skipped: steps, of all, that changed no weight.
    num_skipped_in_a_row: those of them since the last that did.
    """

    scale: float = FIRST_SCALE
    num_good: int = 0
    num_skipped: int = 0
    num_skipped_in_a_row: int = 0


class Scaler:
    """The loss scale of one training; equal on all ranks, as they decide from equal sums.

    A gradient that is not finite on one rank makes the sum over the ranks not finite, and so its
    norm on every rank: nothing more has to be exchanged.
    """

    def __init__(self, state: ScalerState | None = None) -> None:
        self.state = state or ScalerState()

    def scale(self, loss: Tensor) -> Tensor:
        """Return the loss to go backward from."""
        return loss * self.state.scale

    def unscale(self, gradients: Sequence[Tensor]) -> None:
        """Divide gradients by the scale, in place; before or after they are summed over ranks."""
        if gradients:
            torch._foreach_mul_(list(gradients), 1 / self.state.scale)

    def update(self, *, is_finite: bool) -> None:
        """Take note of a step, the summed gradients of which were finite, or else not applied.

        Raises:
            StageFailed: they were not, although nothing was scaled up any more.
        """
        before = self.state
        if is_finite:
            grows = before.num_good + 1 >= GROWTH_INTERVAL and before.scale < LARGEST_SCALE
            self.state = replace(
                before,
                scale=before.scale * 2 if grows else before.scale,
                num_good=0 if grows else before.num_good + 1,
                num_skipped_in_a_row=0,
            )
            return
        if before.scale <= 1:
            raise StageFailed(
                "gradients overflow float16 at every loss scale; lower the learning rates, or "
                "train with dtype float32 or bfloat16"
            )
        self.state = replace(
            before,
            scale=before.scale / 2,
            num_good=0,
            num_skipped=before.num_skipped + 1,
            num_skipped_in_a_row=before.num_skipped_in_a_row + 1,
        )


def scaler_for(dtype: torch.dtype, state: ScalerState | None = None) -> Scaler | None:
    """Return the scaler of a training in a type; None where it needs none."""
    return Scaler(state) if dtype == torch.float16 else None


def overflow_alert(state: ScalerState | None) -> Iterator[Alert]:
    """Yield an alert at the step that makes too many in a row that changed nothing."""
    if state is not None and state.num_skipped_in_a_row == MANY_SKIPPED:
        yield Alert(
            code="float16-overflow",
            severity="warning",
            message=(
                f"{MANY_SKIPPED} steps in a row overflowed float16 and changed no weight; the "
                f"loss scale is down to {state.scale:g}"
            ),
        )
