"""Rotary positions.

Shapes: B rows, T positions, H heads, D head width, d = D / 2.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_tables(
    num_positions: int, head_dim: int, base: float, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Return cos and sin, each (num_positions, head_dim / 2), in float32.

    Source: RoFormer, arXiv 2104.09864, with half-split pairing.
    """
    exponent = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    angle = torch.outer(
        torch.arange(num_positions, dtype=torch.float32, device=device), base**-exponent
    )
    return angle.cos(), angle.sin()


def rotate(x_BTHD: Tensor, cos_BT1d: Tensor, sin_BT1d: Tensor) -> Tensor:
    """Return x with each half-split pair turned by its position's angle."""
    first, second = x_BTHD.chunk(2, dim=-1)
    return torch.cat(
        (first * cos_BT1d + second * sin_BT1d, second * cos_BT1d - first * sin_BT1d), dim=-1
    )
