"""Newton-Schulz: the classic quintic that brings a matrix near its nearest orthogonal one.

Source: Muon (kellerjordan.github.io/posts/muon). Its coefficients are chosen for a steep start,
not for a limit: singular values end between about 0.7 and 1.2, and stay there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.optim.polar_express import odd_polynomials

NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),)


def newton_schulz(u_KMN: Tensor, num_iterations: int, dtype: torch.dtype) -> Tensor:
    """Return matrices of the same singular vectors, with singular values near 1."""
    norm_K11 = torch.linalg.vector_norm(u_KMN, dim=(-2, -1), keepdim=True)
    return odd_polynomials((u_KMN / (norm_K11 + 1e-7)).to(dtype), NEWTON_SCHULZ * num_iterations)
