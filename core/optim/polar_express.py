"""Polar Express: a few matrix products that turn a matrix into its nearest orthogonal one.

Source: arXiv 2505.16932. Its steps are odd polynomials of degree 5 in the singular values, each
the best there is for the interval that the one before it left. Shapes: K matrices of one shape
stacked, M rows, N columns.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

Triple = tuple[float, float, float]

# x -> a x + b x^3 + c x^5 in 5 steps: what `coefficients(5)` gives, to the last digit.
POLAR_EXPRESS: tuple[Triple, ...] = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
# The singular value, as a share of the largest, down to which the steps aim at 1. Three or four
# steps cannot do that for a thousandth, and are better over a narrower range: over the momenta of
# a trained d4 the mean square distance from 1 is 0.19 with three steps (0.26 with the first three
# of five), 0.07 with four (0.16), and 0.025 with five.
LOWEST = 1e-3
LOWEST_OF_FEW = {3: 1e-2, 4: 5e-3}
# Rounding may carry a singular value above the interval, where the polynomials run away: all but
# the last step leave this margin.
SAFETY = 0.02
# A polynomial for an interval that starts lower than this share would shrink some values a lot.
CUSHION = 0.02
MIN_NORM = 1e-6


@cache
def coefficients(num_iterations: int) -> tuple[Triple, ...]:
    """Return the triples for a number of steps (the paper's algorithm 1)."""
    if num_iterations == len(POLAR_EXPRESS):
        return POLAR_EXPRESS
    return composition(num_iterations, LOWEST_OF_FEW.get(num_iterations, LOWEST))


def composition(num_iterations: int, lowest: float) -> tuple[Triple, ...]:
    """Return the steps that bring singular values from [lowest, 1] nearest to 1."""
    highest = 1.0
    triples = []
    for step in range(num_iterations):
        a, b, c = _best_quintic(max(lowest, CUSHION * highest), highest)
        if CUSHION * highest > lowest:
            # Centred on 1 again, for the interval that there really is.
            ends = [a * x + b * x**3 + c * x**5 for x in (lowest, highest)]
            a, b, c = (2 / sum(ends) * value for value in (a, b, c))
        if step < num_iterations - 1:
            a, b, c = a / (1 + SAFETY), b / (1 + SAFETY) ** 3, c / (1 + SAFETY) ** 5
        triples.append((a, b, c))
        lowest = a * lowest + b * lowest**3 + c * lowest**5
        highest = 2 - lowest
    return tuple(triples)


def _best_quintic(low: float, high: float) -> Triple:
    """Return the odd quintic that stays nearest to 1 between `low` and `high`.

    It meets its largest error, with turning sign, at both ends and at its two extrema inside
    (Remez): the extrema are guessed, and found again from each solution.
    """
    if low / high > 1 - 5e-6:
        # The limit; the equations below have no solution there.
        return 15 / 8 / high, -10 / 8 / high**3, 3 / 8 / high**5
    inner = np.array([(3 * low + high) / 4, (low + 3 * high) / 4])
    error = math.inf
    while True:
        points = np.array([low, *inner, high])
        system = np.stack([points, points**3, points**5, [1, -1, 1, -1]], axis=1)
        a, b, c, found = (float(value) for value in np.linalg.solve(system, np.ones(4)))
        if abs(found - error) <= 1e-15:
            return a, b, c
        error = found
        root = math.sqrt(9 * b * b - 20 * a * c)
        inner = np.sqrt((-3 * b + np.array([-root, root])) / (10 * c))


def equalized(u_KMN: Tensor, dtype: torch.dtype) -> Tensor:
    """Return matrices with rows of equal norm (MuonEq), and a Frobenius norm just below 1.

    Rows below 1e-6 stay below the others: what they hold is rounding.
    """
    rows_KM1 = torch.linalg.vector_norm(u_KMN, dim=-1, keepdim=True)
    whole_K11 = torch.linalg.vector_norm(rows_KM1, dim=-2, keepdim=True)
    factor_KM1 = whole_K11 / math.sqrt(u_KMN.size(-2)) / rows_KM1.clamp_min(MIN_NORM)
    norm_K11 = torch.linalg.vector_norm(rows_KM1 * factor_KM1, dim=-2, keepdim=True)
    return (u_KMN * (factor_KM1 / (norm_K11 * 1.01 + MIN_NORM))).to(dtype)


def odd_polynomials(x_KMN: Tensor, triples: tuple[Triple, ...]) -> Tensor:
    """Return x with every a s + b s^3 + c s^5 applied, in turn, to its singular values s."""
    # A CPU multiplies a stack of one by its transpose at a third of the speed of a matrix.
    is_stack = x_KMN.size(0) > 1
    x = x_KMN if is_stack else x_KMN[0]
    add_product = torch.baddbmm if is_stack else torch.addmm
    is_wide = x.size(-2) <= x.size(-1)
    for a, b, c in triples:
        # The Gram matrix of the shorter side.
        gram = x @ x.mT if is_wide else x.mT @ x
        mix = add_product(gram, gram, gram, beta=b, alpha=c)
        x = add_product(x, mix, x, beta=a) if is_wide else add_product(x, x, mix, beta=a)
    return x if is_stack else x[None]


def polar_express(u_KMN: Tensor, num_iterations: int, dtype: torch.dtype) -> Tensor:
    """Return matrices of about the same singular vectors, and with singular values near 1.

    MuonEq comes first. Not scaled: see `core.optim.variance` for the norm of the result.
    """
    return odd_polynomials(equalized(u_KMN, dtype), coefficients(num_iterations))
