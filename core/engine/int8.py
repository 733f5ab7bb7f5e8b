"""Weights in int8 with one symmetric scale per output; products in integers where that is fast.

Shapes: B rows, C inputs, N outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core import hardware
from runs.errors import UsageError

MAX_INT8 = 127.0
TINY = 1e-30


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
        self._weight = _pack(quantised_NC) if self._is_cpu else quantised_NC
        self._zeros_N = torch.zeros(self._num_outputs, dtype=torch.int32)

    @property
    def num_bytes(self) -> int:
        """Bytes that one product reads."""
        return self._num_outputs * (self._num_inputs + 4)

    def __call__(self, x_BC: Tensor, out: Tensor | None = None) -> Tensor:
        """Return x times the matrix, (B, N)."""
        if not self._is_cpu:
            return torch._weight_int8pack_mm(x_BC, self._weight, self._scale_N.to(x_BC.dtype))
        half = self._half
        unit_B1 = torch.linalg.vector_norm(x_BC, torch.inf, -1, True).clamp_min_(TINY).div_(half)
        # Half a step more than the zero point: the cast to integers cuts, and so rounds.
        quantised_BC = (x_BC / unit_B1).add_(half + 1.5).to(torch.uint8)
        y_BN = torch.ops.onednn.qlinear_pointwise(
            quantised_BC, 1.0, half + 1, self._weight, self._scale_N, self._zeros_N,
            None, 1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        return torch.mul(y_BN, unit_B1, out=out)

    def add_to(self, sum_BN: Tensor, x_BC: Tensor) -> Tensor:
        """Return sum + x times the matrix, (B, N)."""
        return self(x_BC).add_(sum_BN)


def _pack(quantised_NC: Tensor) -> Tensor:
    """Return the weight in the layout of oneDNN's kernels."""
    try:
        packed: Tensor = torch.ops.onednn.qlinear_prepack(quantised_NC, None)
    except (AttributeError, RuntimeError, NotImplementedError) as error:
        raise UsageError(
            f"torch {torch.__version__} has no int8 kernels for this CPU ({error}); "
            "use float32 weights"
        ) from None
    return packed
