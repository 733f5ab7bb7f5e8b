"""Newton-Schulz: the classic quintic that brings a matrix near its nearest orthogonal one.

Source: Muon (kellerjordan.github.io/posts/muon). Its coefficients are chosen for a steep start,
not for a limit: singular values end between about 0.7 and 1.2, and stay there.
"""

from __future__ import annotations

from torch import Tensor

from core.optim.polar_express import odd_polynomials

NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),)


def newton_schulz(u_KMN: Tensor, num_iterations: int) -> Tensor:
    """Return matrices of the same singular vectors, with singular values near 1."""
    x = u_KMN / (u_KMN.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    return odd_polynomials(x, NEWTON_SCHULZ * num_iterations)
