"""Causal attention of a compiled step on a CPU: torch's forward kernel, a backward of our own.

torch's backward kernel works through small tiles one at a time; whole products of the same
numbers take 0.55 times as long (bfloat16, 8 rows of 512 positions, 4 heads of 64, one thread).
Only worth it where the elementwise part is compiled into one pass.

Shapes: B rows, H heads, T positions, D head width, P = B x H pairs, M keys of one block, N the
queries that see some of them. Scores are kept as keys by queries, which saves a transposition.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Keys of one block; larger ones compute more of the scores that causality hides.
BLOCK = 128


def suits(q_BHTD: Tensor, k_BHTD: Tensor) -> bool:
    """Return whether attend_causal is the faster way, and can be taken, for these tensors."""
    return (
        torch.compiler.is_compiling()
        and q_BHTD.device.type == "cpu"
        and q_BHTD.dtype == torch.bfloat16
        and q_BHTD.shape == k_BHTD.shape
        and q_BHTD.size(2) % BLOCK == 0
        and torch.is_grad_enabled()
    )


def attend_causal(q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, scale: float | None) -> Tensor:
    """Return attention outputs, (B, H, T, D); scores are scaled by 1/sqrt(D) unless given."""
    scale = 1 / math.sqrt(q_BHTD.size(-1)) if scale is None else scale
    out: Tensor = _CausalAttention.apply(q_BHTD, k_BHTD, v_BHTD, scale)
    return out


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_BHTD: Tensor, k_BHTD: Tensor, v_BHTD: Tensor, scale: float) -> Tensor:
        out_BHTD, log_sums_BHT = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q_BHTD, k_BHTD, v_BHTD, 0.0, True, scale=scale
        )
        ctx.save_for_backward(q_BHTD, k_BHTD, v_BHTD, out_BHTD, log_sums_BHT)
        ctx.scale = scale
        return out_BHTD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BHTD: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q_BHTD, k_BHTD, v_BHTD, out_BHTD, log_sums_BHT = ctx.saved_tensors
        B, H, T, D = q_BHTD.shape
        own_P1T = (grad_BHTD.float() * out_BHTD.float()).sum(-1).reshape(B * H, 1, T)
        q_PTD, k_PTD, v_PTD, grad_PTD = (
            x.contiguous().view(B * H, T, D) for x in (q_BHTD, k_BHTD, v_BHTD, grad_BHTD)
        )
        grads = _gradients(
            q_PTD, k_PTD, v_PTD, grad_PTD, log_sums_BHT.reshape(B * H, 1, T), own_P1T, ctx.scale
        )
        dq_BHTD, dk_BHTD, dv_BHTD = (x.view(B, H, T, D) for x in grads)
        return dq_BHTD, dk_BHTD, dv_BHTD, None


def _gradients(
    q_PTD: Tensor,
    k_PTD: Tensor,
    v_PTD: Tensor,
    grad_PTD: Tensor,
    log_sums_P1T: Tensor,
    own_P1T: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of queries, keys and values, each (P, T, D).

    own: per query, the product of the output and its gradient.
    """
    num = q_PTD.size(1)
    q_PDT, grad_PDT = q_PTD.mT, grad_PTD.mT
    dq_parts: list[Tensor | None] = [None] * (num // BLOCK)
    dk_parts, dv_parts = [], []
    for index, start in enumerate(range(0, num, BLOCK)):
        keys = slice(start, start + BLOCK)
        scores_PMN = k_PTD[:, keys] @ q_PDT[..., start:]
        dweights_PMN = v_PTD[:, keys] @ grad_PDT[..., start:]
        positions = torch.arange(start, num, device=q_PTD.device)
        is_seen_MN = positions[:BLOCK, None] <= positions
        weights_PMN = torch.where(
            is_seen_MN, torch.exp(scores_PMN.float() * scale - log_sums_P1T[..., start:]), 0
        )
        dscores_PMN = weights_PMN * (dweights_PMN.float() - own_P1T[..., start:]) * scale
        dscores_PMN = dscores_PMN.to(q_PTD.dtype)
        dv_parts.append(weights_PMN.to(q_PTD.dtype) @ grad_PTD[:, start:])
        dk_parts.append(dscores_PMN @ q_PTD[:, start:])
        for offset, part in enumerate((dscores_PMN.mT @ k_PTD[:, keys]).split(BLOCK, dim=1)):
            before = dq_parts[index + offset]
            dq_parts[index + offset] = part.float() if before is None else before + part.float()
    dq_PTD = torch.cat([part for part in dq_parts if part is not None], dim=1).to(q_PTD.dtype)
    return dq_PTD, torch.cat(dk_parts, dim=1), torch.cat(dv_parts, dim=1)
