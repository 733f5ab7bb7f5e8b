"""Causal attention with a left window on torch's own kernel, in blocks of queries.

A block of queries meets only the keys that some of its queries see, so that neither a mask nor
scores of all positions by all positions ever exist. A window of w lets a query see itself and w
positions before it.

Shapes: B rows, T query positions, S key positions, the queries being the last T of them, H query
heads, K kv heads, D head width, N queries of one block, M keys that it meets.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from core.attention.cpu import attend_causal, suits

# Smaller blocks leave the CPU's bfloat16 kernel too little to do at a time: at T = 512 with a
# window of 128, blocks of 128 took 1.3 times as long as blocks of 256.
MIN_BLOCK = 256


def attend_in_blocks(
    q_BTHD: Tensor, k_BSKD: Tensor, v_BSKD: Tensor, *, window: int, scale: float | None = None
) -> Tensor:
    """Return attention outputs, (B, T, H, D); scores are scaled by 1/sqrt(D) unless given."""
    num, num_keys = q_BTHD.size(1), k_BSKD.size(1)
    sees_all = window >= num_keys - 1
    if sees_all and num == num_keys:
        return _attend(q_BTHD, k_BSKD, v_BSKD, None, is_causal=True, scale=scale)
    if num == 1:
        seen = slice(max(0, num_keys - 1 - window), num_keys)
        return _attend(q_BTHD, k_BSKD[:, seen], v_BSKD[:, seen], None, is_causal=False, scale=scale)
    block = MIN_BLOCK if sees_all else max(window, MIN_BLOCK)
    starts = range(num_keys - num, num_keys, block)
    spans = [(max(0, start - window), min(start + block, num_keys)) for start in starts]
    keys, values = (_Spans.apply(x_BSKD, spans) for x_BSKD in (k_BSKD, v_BSKD))
    masks: dict[tuple[int, int], Tensor] = {}
    outputs = []
    for q_BNHD, k_BMKD, v_BMKD in zip(q_BTHD.split(block, dim=1), keys, values, strict=True):
        shape = q_BNHD.size(1), k_BMKD.size(1)
        is_causal = shape[0] == shape[1] and shape[0] <= window + 1
        if not is_causal and shape not in masks:
            masks[shape] = window_mask(*shape, window, q_BTHD.device)
        mask_NM = None if is_causal else masks[shape]
        outputs.append(_attend(q_BNHD, k_BMKD, v_BMKD, mask_NM, is_causal=is_causal, scale=scale))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)


def window_mask(num: int, num_keys: int, window: int, device: torch.device) -> Tensor:
    """Return (N, M), True where one of the last N of M positions may look."""
    query_N = torch.arange(num_keys - num, num_keys, device=device)
    distance_NM = query_N[:, None] - torch.arange(num_keys, device=device)
    return (distance_NM >= 0) & (distance_NM <= window)


class _Spans(torch.autograd.Function):
    """Overlapping stretches of positions, as views.

    Plain slices would each have a gradient as long as the whole, nearly all of it zeros.
    """

    @staticmethod
    def forward(ctx: Any, x_BSKD: Tensor, spans: list[tuple[int, int]]) -> tuple[Tensor, ...]:
        ctx.spans, ctx.shape = spans, x_BSKD.shape
        return tuple(x_BSKD[:, first:end] for first, end in spans)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total_BSKD = gradients[0].new_zeros(ctx.shape)
        for (first, end), gradient in zip(ctx.spans, gradients, strict=True):
            total_BSKD[:, first:end] += gradient
        return total_BSKD, None


def _attend(
    q_BNHD: Tensor,
    k_BMKD: Tensor,
    v_BMKD: Tensor,
    mask_NM: Tensor | None,
    *,
    is_causal: bool,
    scale: float | None,
) -> Tensor:
    groups = q_BNHD.size(2) // k_BMKD.size(2)
    if groups > 1 and q_BNHD.device.type != "cpu":
        # Elsewhere torch has grouped heads only where there is no mask, and in half precision;
        # it would fall back to writing out all scores.
        k_BMKD = k_BMKD.repeat_interleave(groups, dim=2)
        v_BMKD = v_BMKD.repeat_interleave(groups, dim=2)
    q_BHND, k_BKMD, v_BKMD = (x.transpose(1, 2) for x in (q_BNHD, k_BMKD, v_BMKD))
    if is_causal and suits(q_BHND, k_BKMD):
        return attend_causal(q_BHND, k_BKMD, v_BKMD, scale).transpose(1, 2)
    out_BHND = F.scaled_dot_product_attention(
        q_BHND,
        k_BKMD,
        v_BKMD,
        attn_mask=mask_NM,
        is_causal=is_causal,
        scale=scale,
        enable_gqa=q_BNHD.size(2) != k_BMKD.size(2),
    )
    return out_BHND.transpose(1, 2)
