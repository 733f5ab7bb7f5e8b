"""The size of a Muon update: one norm for every matrix (Muon+), evened out over its rows (NorMuon).

Source: NorMuon, arXiv 2510.05491. Shapes: K matrices stacked, M rows, N columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from core.optim.gate import Gate

SECOND_MOMENT_DECAY = 0.9
MIN_NORM = 1e-6
MIN_SQUARE = 1e-10


def moment_shape(M: int, N: int) -> tuple[int, int]:
    """Return the shape of one matrix's second moment: a value per line of the longer side."""
    return (M, 1) if M >= N else (1, N)


def scale_of_update(x_KMN: Tensor, second_moment: Tensor, gate: Gate | None = None) -> Tensor:
    """Return the factors, per row or column, that give x its size; the moment takes x in.

    With a shut gate the factors are 0, and the moment stays.

    The result has the Frobenius norm of a true orthogonal factor, sqrt(min(M, N)), and every line
    the mean square that it had over the last steps: lines that were long become shorter.
    """
    M, N = x_KMN.shape[-2:]
    axis, length = (-1, N) if M >= N else (-2, M)
    target = math.sqrt(min(M, N))
    lines = torch.linalg.vector_norm(x_KMN, dim=axis, keepdim=True)
    to_norm_K11 = target / _norm(lines).clamp_min(MIN_NORM)
    lines = lines * to_norm_K11
    fresh = 1 - SECOND_MOMENT_DECAY
    second_moment.lerp_(lines.square() / length, fresh if gate is None else gate.share(fresh))
    inverse = second_moment.clamp_min(MIN_SQUARE).rsqrt()
    after_K11 = _norm(lines * inverse).clamp_min(MIN_SQUARE)
    scale = inverse * (to_norm_K11 * _norm(lines) / after_K11)
    return scale if gate is None else scale.masked_fill_(gate.is_shut, 0.0)


def _norm(lines: Tensor) -> Tensor:
    return torch.linalg.vector_norm(lines, dim=(-2, -1), keepdim=True)
