"""An update that changes nothing when a number says so that is on the device alone.

Where the device runs ahead of the host it cannot be asked whether a gradient is finite before the
update is launched. The update is launched either way, and with a shut gate adds nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """0-d tensors, all on the device of the parameters.

    is_shut: what was asked. shut: the same as 1.0 or 0.0, as torch's fused AdamW takes it.
    least: what a product has to reach to count as positive, 0, or infinity where it never does.
    """

    is_shut: Tensor
    shut: Tensor
    least: Tensor

    def share(self, usual: float) -> Tensor:
        """Return a share of what is new: the usual one, or 0 where the gate is shut."""
        return usual * (1 - self.shut)


def gate_by(is_shut: Tensor) -> Gate:
    """Return the gate that a 0-d flag shuts."""
    shut = is_shut.float()
    return Gate(
        is_shut=is_shut,
        shut=shut,
        least=torch.zeros_like(shut).masked_fill_(is_shut, math.inf),
    )
