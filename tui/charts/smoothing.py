"""The debiased exponential moving average of a curve, without a Python loop over its points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_BLOCK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothState:
    """How far an average has come, so that it can go on with the values that follow."""

    beta: float
    weighted: float = 0.0
    weight: float = 0.0

    def continued(self, values: FloatArray) -> tuple[FloatArray, SmoothState]:
        """Return the average of each new value and its past, and the state after them."""
        if not len(values):
            return np.empty(0), self
        is_finite = np.isfinite(values)
        weighted = _decayed_sums(np.where(is_finite, values, 0.0), self.beta, self.weighted)
        weights = _decayed_sums(is_finite.astype(np.float64), self.beta, self.weight)
        with np.errstate(invalid="ignore", divide="ignore"):
            means: FloatArray = np.where(weights > 0, weighted / weights, np.nan)
        after = SmoothState(beta=self.beta, weighted=float(weighted[-1]), weight=float(weights[-1]))
        return means, after


def ema(values: FloatArray, beta: float) -> FloatArray:
    """Return the debiased average of each value and its past; non-finite values are skipped.

    mean_n = sum(beta**(n - k) * x_k) / sum(beta**(n - k)) over the finite x_k, k <= n;
    NaN until the first finite value.
    """
    return SmoothState(beta=beta).continued(values)[0]


def smoothing_beta(num_points: int) -> float:
    """Return a beta that averages over about a hundredth of the curve, at least five points.

    It changes only when the curve has doubled, so that a live average can go on where it was.
    """
    doubled = 2.0 ** math.floor(math.log2(max(num_points, 1)))
    return 1.0 - 1.0 / max(5.0, min(doubled / 100.0, 500.0))


def _decayed_sums(values: FloatArray, beta: float, carry: float) -> FloatArray:
    """Return s_n = beta * s_(n-1) + x_n, a block at a time: one product inside, one carry."""
    block_size = min(_BLOCK, len(values))
    num_blocks = -(-len(values) // block_size)
    padded = np.zeros(num_blocks * block_size, dtype=np.float64)
    padded[: len(values)] = values
    exponent = np.subtract.outer(np.arange(block_size), np.arange(block_size))
    decay = np.where(exponent >= 0, beta ** np.maximum(exponent, 0), 0.0)
    sums: FloatArray = padded.reshape(num_blocks, block_size) @ decay.T
    carry_decay = beta ** np.arange(1, block_size + 1)
    for block in sums:
        block += carry * carry_decay
        carry = float(block[-1])
    return sums.ravel()[: len(values)]
