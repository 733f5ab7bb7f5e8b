"""Weights in int8 with one symmetric scale per output; products in integers where that is fast.

Shapes: B rows, C inputs, N outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core import hardware
from runs.errors import UsageError

MAX_INT8 = 127.0
TINY = 1e-30


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundingNorms:
    """Per output: length of the weight's rounding error, and of the rounded weight."""

    weights: Tensor
    lengths: Tensor


class Int8Matrix:
    """An int8 weight.

    On a CPU the input is quantised to 8 bits as well, each row by its own largest value, and the
    products are added up as integers: exactly, so a row's result depends on no other row and on
    no shape. Error against the float weight: about 1 % of the standard deviation of an output.
    On a GPU the input stays bfloat16 (torch's weight-only kernel; not run on a GPU yet).
    """

    def __init__(self, weight_NC: Tensor) -> None:
        scale_N = weight_NC.abs().amax(dim=1).clamp(min=TINY) / MAX_INT8
        self._scale_N = scale_N.contiguous()
        self._num_outputs, self._num_inputs = weight_NC.shape
        quantised_NC = torch.round(weight_NC / scale_N[:, None]).to(torch.int8)
        self._is_cpu = weight_NC.device.type == "cpu"
        # Without VNNI pairs of products saturate at 16 bits: one bit less of input avoids that.
        self._half = 127 if hardware.has_cpu_vnni() else 63
        # Kept beside the packed form, which cannot be read back: other kernels pack it their way.
        self._quantised_NC = quantised_NC
        self._weight = _pack(quantised_NC) if self._is_cpu else quantised_NC
        self._zeros_N = torch.zeros(self._num_outputs, dtype=torch.int32)

    @property
    def zero_point(self) -> int:
        """The integer that stands for 0 in a quantised input."""
        return self._half + 1

    def bytes_read(self, num_rows: int) -> int:
        """Return the bytes that a product reads; as many for any number of rows."""
        return self._num_outputs * (self._num_inputs + 4)

    def __call__(self, x_BC: Tensor, out: Tensor | None = None) -> Tensor:
        """Return x times the matrix, (B, N)."""
        if not self._is_cpu:
            return torch._weight_int8pack_mm(x_BC, self._weight, self._scale_N.to(x_BC.dtype))
        quantised_BC, unit_B1 = self.quantise(x_BC)
        return self.multiply(quantised_BC, unit_B1, out)

    def quantise(self, x_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Return an input as uint8, and the step that each of its rows is rounded to, (B, 1)."""
        largest_B1 = torch.linalg.vector_norm(x_BC, torch.inf, -1, True)
        unit_B1 = largest_B1.clamp_min_(TINY).div_(self._half)
        # Half a step more than the zero point: the cast to integers cuts, and so rounds.
        return (x_BC / unit_B1).add_(self.zero_point + 0.5).to(torch.uint8), unit_B1

    def multiply(self, quantised_BC: Tensor, unit_B1: Tensor, out: Tensor | None = None) -> Tensor:
        """Return a quantised input times the matrix, (B, N)."""
        y_BN = torch.ops.onednn.qlinear_pointwise(
            quantised_BC, 1.0, self.zero_point, self._weight, self._scale_N, self._zeros_N,
            None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return torch.mul(y_BN, unit_B1, out=out)

    def stored(self) -> tuple[Tensor, Tensor | None]:
        """Return the int8 values, (N, C), and their scales."""
        return self._quantised_NC, self._scale_N

    def rounding_norms(self, weight_NC: Tensor) -> RoundingNorms:
        """Return how far the int8 weight is from the float one that it was made of."""
        scale_N1 = self._scale_N[:, None]
        rounded_NC = torch.round(weight_NC / scale_N1) * scale_N1
        return RoundingNorms(
            weights=(weight_NC - rounded_NC).norm(dim=1), lengths=rounded_NC.norm(dim=1)
        )

    def add_to(self, sum_BN: Tensor, x_BC: Tensor) -> Tensor:
        """Return sum + x times the matrix, (B, N)."""
        return self(x_BC).add_(sum_BN)


def _pack(quantised_NC: Tensor) -> Tensor:
    """Return the weight in the layout of oneDNN's kernels."""
    try:
        packed: Tensor = torch.ops.onednn.qlinear_prepack(quantised_NC, None)
    except (AttributeError, RuntimeError) as error:
        raise UsageError(
            f"torch {torch.__version__} has no int8 kernels for this CPU ({error}); "
            "use float32 weights"
        ) from None
    return packed
