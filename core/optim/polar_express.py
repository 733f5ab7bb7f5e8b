"""Polar Express: a few matrix products that turn a matrix into its nearest orthogonal one.

Source: arXiv 2505.16932. Shapes: K matrices of one shape stacked, M rows, N columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Triples for the steps x -> a x + b x^3 + c x^5 on singular values; for 5 steps, with the
# paper's safety factor of 2 percent.
POLAR_EXPRESS: tuple[tuple[float, float, float], ...] = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def odd_polynomials(x_KMN: Tensor, coefficients: tuple[tuple[float, float, float], ...]) -> Tensor:
    """Return x with every a s + b s^3 + c s^5 applied, in turn, to its singular values s."""
    is_wide = x_KMN.size(-2) <= x_KMN.size(-1)
    for a, b, c in coefficients:
        # The Gram matrix of the shorter side.
        gram = x_KMN @ x_KMN.mT if is_wide else x_KMN.mT @ x_KMN
        mix = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factors = (mix, x_KMN) if is_wide else (x_KMN, mix)
        x_KMN = torch.baddbmm(x_KMN, *factors, beta=a)
    return x_KMN


def orthogonalize(u_KMN: Tensor, num_iterations: int) -> Tensor:
    """Return the nearest semi-orthogonal matrices, up to scale, by Polar Express.

    Rows are first brought to equal norm (MuonEq), and the result to the Frobenius norm of a
    true orthogonal factor, sqrt(min(M, N)) (Muon+).
    """
    M, N = u_KMN.shape[-2:]
    row_norm = u_KMN.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    x = u_KMN * (u_KMN.norm(dim=(-2, -1), keepdim=True) / math.sqrt(M) / row_norm)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.01 + 1e-6)
    x = odd_polynomials(x, POLAR_EXPRESS[:num_iterations])
    scale = math.sqrt(min(M, N)) / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-6)
    return x * scale
