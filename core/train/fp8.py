"""Matrix products of training in 8-bit floats, one scale per tensor, taken anew at each product.

Inputs and weights are e4m3 (3 bits of mantissa, up to 448), gradients e5m2 (2 bits, up to 57,344).
The products are those of the tensor cores from Hopper on; weights stay float32, and everything
that is not learned from - evaluation, samples - multiplies as without fp8, with no copy of the
weights. Sources: arXiv 2209.05433, PyTorch's torch._scaled_mm.

Shapes: M rows (all positions of a batch), K inputs, N outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runs.errors import UsageError

INPUT, GRADIENT = torch.float8_e4m3fn, torch.float8_e5m2
# The kernels take whole blocks of 16; smaller matrices lose more to scaling than they gain.
BLOCK = 16
LEAST_WIDTH = 128
# The largest magnitude of a tensor of zeros is taken for this.
LEAST_AMAX = 1e-12
HOPPER = (9, 0)


def use_fp8(setting: str, model: nn.Module, device: torch.device, *, is_compiled: bool) -> int:
    """Let the linear layers of a model that gain from it learn in fp8; return how many do.

    setting: off, on, or auto: where the hardware has it and training is compiled, as scaling by
        separate kernels costs more than the products save.

    Raises:
        UsageError: it is on, and this device has none, or training is not in bfloat16.
    """
    if setting == "off":
        return 0
    reason = _why_not(device, getattr(model, "dtype", None))
    if reason is not None and setting == "on":
        raise UsageError(f"fp8 = on is not possible here: {reason}; use auto or off")
    if reason is not None or (setting == "auto" and not is_compiled):
        return 0
    layers = fp8_layers(model)
    for layer in layers:
        # A plain attribute, so that neither names nor weights of the model change.
        layer.multiply = fp8_linear
    return len(layers)


def fp8_layers(model: nn.Module) -> list[Any]:
    """Return the linear layers of the blocks that are large enough, and of whole blocks."""
    return [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and name.startswith("blocks.") and _fits(layer)
    ]


def fp8_linear(x: Tensor, weight_NK: Tensor) -> Tensor:
    """Return x times the transposed weight, in fp8 where a gradient will be asked for.

    Batches that are not of whole blocks of rows are multiplied in the type of x.
    """
    num_rows = x.numel() // x.size(-1)
    if not torch.is_grad_enabled() or num_rows % BLOCK:
        return F.linear(x, weight_NK.to(x.dtype))
    out_MN: Tensor = _Fp8Product.apply(x.reshape(-1, x.size(-1)), weight_NK)
    return out_MN.view(*x.shape[:-1], -1)


def to_fp8(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return x in an 8-bit type, and the float32 factor that undoes its scale.

    The largest magnitude becomes the largest number of the type. The division is in float64: in
    float32 the scaled maximum may be rounded beyond that number, which e4m3 knows no infinity for.
    """
    largest = torch.finfo(dtype).max
    amax = x.abs().amax().double().clamp_min(LEAST_AMAX)
    scale = (largest / amax).float()
    return (x.float() * scale).clamp(-largest, largest).to(dtype), scale.reciprocal()


class _Fp8Product(torch.autograd.Function):
    """x times the transposed weight, and the two products of its backward pass."""

    @staticmethod
    def forward(ctx: Any, x_MK: Tensor, weight_NK: Tensor) -> Tensor:
        x8_MK, x_factor = to_fp8(x_MK, INPUT)
        weight8_NK, weight_factor = to_fp8(weight_NK, INPUT)
        # Kept in 8 bits: half of what a backward pass in bfloat16 keeps.
        ctx.save_for_backward(x8_MK, x_factor, weight8_NK, weight_factor)
        ctx.dtypes = x_MK.dtype, weight_NK.dtype
        return _multiply(
            x8_MK, weight8_NK.t(), x_factor, weight_factor, dtype=x_MK.dtype, is_fast=True
        )

    @staticmethod
    def backward(ctx: Any, grad_MN: Tensor) -> tuple[Tensor, Tensor]:
        x8_MK, x_factor, weight8_NK, weight_factor = ctx.saved_tensors
        x_dtype, weight_dtype = ctx.dtypes
        grad8_MN, grad_factor = to_fp8(grad_MN, GRADIENT)
        # The left operand lies by rows, the right one by columns.
        grad_x_MK = _multiply(
            grad8_MN, _by_columns(weight8_NK), grad_factor, weight_factor, dtype=x_dtype
        )
        grad_weight_NK = _multiply(
            grad8_MN.t().contiguous(), _by_columns(x8_MK), grad_factor, x_factor, dtype=x_dtype
        )
        return grad_x_MK, grad_weight_NK.to(weight_dtype)


def _multiply(
    left: Tensor,
    right: Tensor,
    left_factor: Tensor,
    right_factor: Tensor,
    *,
    dtype: torch.dtype,
    is_fast: bool = False,
) -> Tensor:
    """Return the product of two scaled matrices; fast sums keep fewer bits between blocks."""
    return torch._scaled_mm(
        left,
        right,
        scale_a=left_factor,
        scale_b=right_factor,
        out_dtype=dtype,
        use_fast_accum=is_fast,
    )


def _by_columns(x: Tensor) -> Tensor:
    return x.t().contiguous().t()


def _fits(layer: nn.Linear) -> bool:
    sides = (layer.in_features, layer.out_features)
    return min(sides) >= LEAST_WIDTH and all(side % BLOCK == 0 for side in sides)


def _why_not(device: torch.device, dtype: torch.dtype | None) -> str | None:
    # AMD's cards have other 8-bit types.
    if device.type != "cuda" or torch.version.hip is not None:
        return f"8-bit floats need a GPU from Hopper on, not {device.type}"
    if torch.cuda.get_device_capability(device) < HOPPER:
        return f"8-bit floats need a GPU from Hopper on, not {torch.cuda.get_device_name(device)}"
    return None if dtype == torch.bfloat16 else f"training is in {dtype}, not bfloat16"
