"""The debiased exponential moving average of a curve, without a Python loop over its points."""

from __future__ import annotations

import numpy as np

from tui.charts.series import FloatArray

_BLOCK = 64


def ema(values: FloatArray, beta: float) -> FloatArray:
    """Return the debiased average of each value and its past; non-finite values are skipped.

    mean_n = sum(beta**(n - k) * x_k) / sum(beta**(n - k)) over the finite x_k, k <= n;
    NaN until the first finite value.
    """
    is_finite = np.isfinite(values)
    weighted = _decayed_sums(np.where(is_finite, values, 0.0), beta)
    weights = _decayed_sums(is_finite.astype(np.float64), beta)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: FloatArray = np.where(weights > 0, weighted / weights, np.nan)
    return means


def smoothing_beta(num_points: int) -> float:
    """Return a beta that averages over about a hundredth of the curve, at least five points."""
    return 1.0 - 1.0 / max(5.0, min(num_points / 100.0, 500.0))


def _decayed_sums(values: FloatArray, beta: float) -> FloatArray:
    """Return s_n = beta * s_(n-1) + x_n, a block at a time: one product inside, one carry."""
    num_blocks = -(-len(values) // _BLOCK)
    padded = np.zeros(num_blocks * _BLOCK, dtype=np.float64)
    padded[: len(values)] = values
    exponent = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK))
    decay = np.where(exponent >= 0, beta ** np.maximum(exponent, 0), 0.0)
    sums: FloatArray = padded.reshape(num_blocks, _BLOCK) @ decay.T
    carry_decay = beta ** np.arange(1, _BLOCK + 1)
    carry = 0.0
    for block in sums:
        block += carry * carry_decay
        carry = float(block[-1])
    return sums.ravel()[: len(values)]
