"""Rotary positions and causal attention with a left window.

Shapes: B rows, T new positions, S key positions, H query heads, K kv heads, D head width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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


def attend(q_BTHD: Tensor, k_BSKD: Tensor, v_BSKD: Tensor, mask_BTS: Tensor | None) -> Tensor:
    """Return attention outputs (B, T, H, D); without a mask it is plainly causal.

    mask_BTS is True where a query may look; scores are scaled by 1/sqrt(D).
    """
    out_BHTD = F.scaled_dot_product_attention(
        q_BTHD.transpose(1, 2),
        k_BSKD.transpose(1, 2),
        v_BSKD.transpose(1, 2),
        attn_mask=None if mask_BTS is None else mask_BTS[:, None],
        is_causal=mask_BTS is None,
        enable_gqa=q_BTHD.size(2) != k_BSKD.size(2),
    )
    return out_BHTD.transpose(1, 2)


def window_mask(query_BT: Tensor, key_S: Tensor, window: int) -> Tensor:
    """Return (B, T, S), True where key <= query and key >= query - window."""
    distance_BTS = query_BT[:, :, None] - key_S[None, None, :]
    return (distance_BTS >= 0) & (distance_BTS <= window)
