"""Intervals, permutation tests, effect sizes and corrections for small samples of runs.

Everything random is seeded. numpy is imported in functions, and nothing of ours is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CONFIDENCE = 0.95
NUM_RESAMPLES = 10_000
# With fewer values, the resampled means are too few to cover the mean often enough (four values
# of a normal distribution span it 88 % of the time): Student's interval takes over.
MIN_FOR_BOOTSTRAP = 8
MAX_EXACT_PAIRS = 13
MAX_EXACT_SPLITS = 10_000
# Numbers held at once by a resampling: large samples are worked off in chunks.
_MAX_CELLS = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over `num` values with its 95 % interval; no interval of a single value."""

    mean: float
    ci_low: float | None
    ci_high: float | None
    num: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The mean of a minus that of b, its 95 % interval, and a two-sided permutation test.

    effect: Hedges' g, of the differences themselves when paired (d_z); None without spread.
    num: pairs, or values of both samples together.
    min_p: the smallest p that a test of so few values can give.
    """

    difference: float
    ci_low: float | None
    ci_high: float | None
    p: float
    effect: float | None
    is_paired: bool
    num: int
    min_p: float


def mean_interval(
    values: Sequence[float], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> Estimate:
    """Return the mean with its bootstrap interval; of 2 to 7 values, Student's interval.

    The interval is Hesterberg's expanded percentile interval ("What teachers should know about
    the bootstrap", 2015): plain percentile and BCa intervals of a mean are too narrow for the
    sample sizes of an experiment (5 to 50 conversations), as resampling understates the spread
    by (n-1)/n and ignores that it is estimated. It stays within the range of the values.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("a mean needs at least one value")
    sample = _array(values)
    low, high = _interval([sample], [1.0], seed, num_resamples)
    return Estimate(mean=float(sample.mean()), ci_low=low, ci_high=high, num=sample.size)


def share_interval(successes: int, total: int) -> Estimate:
    """Return a share with its score interval (Wilson 1927), which has width at 0 and 1 too.

    Raises:
        ValueError: the total is 0.
    """
    if total < 1:
        raise ValueError("a share needs at least one trial")
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share = successes / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
    half /= 1 + z * z / total
    low, high = min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))
    return Estimate(mean=share, ci_low=low, ci_high=high, num=total)


def paired_difference(
    a: Sequence[float],
    b: Sequence[float],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Difference:
    """Return how a differs from b, pair by pair.

    Raises:
        ValueError: the two are not equally long, or empty.
    """
    if len(a) != len(b) or not a:
        raise ValueError("a paired comparison needs equally many values on both sides")
    gaps = _array(a) - _array(b)
    found = mean_interval(gaps.tolist(), seed=seed, num_resamples=num_resamples)
    return Difference(
        difference=found.mean,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        p=paired_permutation_p(gaps.tolist(), seed=seed, num_resamples=num_resamples),
        effect=paired_effect(gaps.tolist()),
        is_paired=True,
        num=gaps.size,
        min_p=max(2.0 ** (1 - gaps.size), 1 / (num_resamples + 1)),
    )


def paired_share_difference(
    a: Sequence[bool], b: Sequence[bool], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> Difference:
    """Return how two shares differ over the same cases; the test is McNemar's, the exact one.

    The interval is Wald's with half a case added to each of the four outcomes (Agresti and Min
    2005), so that it has width where no pair differs.

    Raises:
        ValueError: the two are not equally long, or empty.
    """
    found = paired_difference(a, b, seed=seed, num_resamples=num_resamples)
    only_a = 0.5 + sum(x and not y for x, y in zip(a, b, strict=True))
    only_b = 0.5 + sum(y and not x for x, y in zip(a, b, strict=True))
    total = len(a) + 2
    middle = (only_a - only_b) / total
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) / total
    half *= math.sqrt(only_a + only_b - (only_a - only_b) ** 2 / total)
    low, high = max(-1.0, middle - half), min(1.0, middle + half)
    share = found.difference
    return replace(found, ci_low=min(low, share), ci_high=max(high, share))


def unpaired_difference(
    a: Sequence[float],
    b: Sequence[float],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Difference:
    """Return how the mean of a differs from that of b, two independent samples.

    Raises:
        ValueError: one of the two is empty.
    """
    if not a or not b:
        raise ValueError("a comparison needs values on both sides")
    low, high = _interval([_array(a), _array(b)], [1.0, -1.0], seed, num_resamples)
    splits = math.comb(len(a) + len(b), len(a))
    # Of two equally large samples, the mirrored split is as extreme.
    fewest = (2 if len(a) == len(b) else 1) / splits
    return Difference(
        difference=float(_array(a).mean() - _array(b).mean()),
        ci_low=low,
        ci_high=high,
        p=unpaired_permutation_p(a, b, seed=seed, num_resamples=num_resamples),
        effect=hedges_g(a, b),
        is_paired=False,
        num=len(a) + len(b),
        min_p=max(fewest, 1 / (num_resamples + 1)),
    )


def paired_permutation_p(
    differences: Sequence[float], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> float:
    """Return the two-sided p of a sign-flip test of a mean difference of 0.

    Exact up to 13 pairs. Beyond, of random flips with the observed one among them, so that p is
    never 0 and the test keeps its level (Phipson and Smyth 2010).
    """
    import numpy as np

    gaps = _array(differences)
    observed = abs(gaps.sum())
    if gaps.size <= MAX_EXACT_PAIRS:
        bits = np.arange(2**gaps.size)[:, None] >> np.arange(gaps.size)
        sums = np.abs((1 - 2 * (bits & 1)) @ gaps)
        return float(np.mean(_as_extreme(sums, observed, gaps)))
    rng = np.random.default_rng(seed)
    hits = 0
    for rows in _chunks(num_resamples, gaps.size):
        flips = rng.integers(0, 2, (rows, gaps.size), dtype=np.int8)
        sums = np.abs(gaps.sum() - 2 * (flips.astype(np.float64) @ gaps))
        hits += int(_as_extreme(sums, observed, gaps).sum())
    return (hits + 1) / (num_resamples + 1)


def unpaired_permutation_p(
    a: Sequence[float], b: Sequence[float], *, seed: int = 0, num_resamples: int = NUM_RESAMPLES
) -> float:
    """Return the two-sided p of a permutation test of equal means.

    Exact where the values split in at most 10,000 ways, else as in `paired_permutation_p`.
    """
    import numpy as np

    pooled = _array([*a, *b])
    pooled -= pooled.mean()
    observed = abs(pooled[: len(a)].sum())
    if math.comb(pooled.size, len(a)) <= MAX_EXACT_SPLITS:
        splits = np.array(list(combinations(range(pooled.size), len(a))))
        return float(np.mean(_as_extreme(np.abs(pooled[splits].sum(axis=1)), observed, pooled)))
    rng = np.random.default_rng(seed)
    hits = 0
    for rows in _chunks(num_resamples, pooled.size):
        shuffled = rng.permuted(np.broadcast_to(pooled, (rows, pooled.size)), axis=1)
        sums = np.abs(shuffled[:, : len(a)].sum(axis=1))
        hits += int(_as_extreme(sums, observed, pooled).sum())
    return (hits + 1) / (num_resamples + 1)


def paired_effect(differences: Sequence[float]) -> float | None:
    """Return the mean difference in its standard deviations (d_z), shrunk as Hedges' g is."""
    gaps = _array(differences)
    if gaps.size < 2 or _is_constant(gaps):
        return None
    return float(gaps.mean() / gaps.std(ddof=1)) * _hedges_factor(gaps.size - 1)


def hedges_g(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return the difference of means in pooled standard deviations (Hedges 1981)."""
    x, y = _array(a), _array(b)
    degrees = x.size + y.size - 2
    if not x.size or not y.size or degrees < 1 or (_is_constant(x) and _is_constant(y)):
        return None
    squares = ((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum()
    gap = float(x.mean() - y.mean())
    return gap / math.sqrt(squares / degrees) * _hedges_factor(degrees)


def cliffs_delta(a: Sequence[float], b: Sequence[float]) -> float:
    """Return P(a > b) - P(a < b) over all pairs, from -1 to 1 (Cliff 1993).

    Raises:
        ValueError: one of the two is empty.
    """
    import numpy as np

    if not a or not b:
        raise ValueError("Cliff's delta needs values on both sides")
    return float(np.sign(_array(a)[:, None] - _array(b)[None, :]).mean())


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p values corrected for being a family (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[i]))
        corrected[i] = highest
    return tuple(corrected)


def student_quantile(degrees: float) -> float:
    """Return t with P(|T| < t) = 0.95 for `degrees` (at least 1) of freedom.

    With T = sqrt(degrees) tan(angle), the density of the angle is cos(angle)^(degrees - 1).
    """
    import numpy as np

    if degrees > 1000:
        return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    angles = np.linspace(0, np.pi / 2, 20_001)
    density = np.cos(angles) ** (degrees - 1)
    below = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
    return math.sqrt(degrees) * math.tan(float(np.interp(CONFIDENCE * below[-1], below, angles)))


def _interval(
    samples: Sequence[Array], signs: Sequence[float], seed: int, num_resamples: int
) -> tuple[float | None, float | None]:
    """Return the interval of a mean or of a difference of means; None where one value stands."""
    import numpy as np

    estimate = float(sum(sign * x.mean() for sign, x in zip(signs, samples, strict=True)))
    if min(x.size for x in samples) < 2:
        return None, None
    if all(_is_constant(x) for x in samples):
        return estimate, estimate
    variances = [float(x.var(ddof=1)) / x.size for x in samples]
    total = sum(variances)
    # Welch (1947); of one sample, n - 1.
    degrees = total**2 / sum(v**2 / (x.size - 1) for v, x in zip(variances, samples, strict=True))
    t = student_quantile(degrees)
    if min(x.size for x in samples) < MIN_FOR_BOOTSTRAP:
        return estimate - t * math.sqrt(total), estimate + t * math.sqrt(total)
    shrunk = sum(v * (x.size - 1) / x.size for v, x in zip(variances, samples, strict=True))
    tail = NormalDist().cdf(-t * math.sqrt(total / shrunk))
    rng = np.random.default_rng(seed)
    draws = np.zeros(num_resamples)
    for sign, x in zip(signs, samples, strict=True):
        draws += sign * _resampled_means(x, rng, num_resamples)
    low, high = np.quantile(draws, [tail, 1 - tail])
    return min(float(low), estimate), max(float(high), estimate)


def _resampled_means(sample: Array, rng: np.random.Generator, num: int) -> Array:
    import numpy as np

    return np.concatenate(
        [
            sample[rng.integers(0, sample.size, (rows, sample.size), dtype=np.int32)].mean(axis=1)
            for rows in _chunks(num, sample.size)
        ]
    )


def _chunks(rows: int, width: int) -> list[int]:
    most = max(1, _MAX_CELLS // width)
    return [min(most, rows - start) for start in range(0, rows, most)]


def _as_extreme(sums: Array, observed: float, values: Array) -> NDArray[np.bool_]:
    # Equal sums may differ in their last bits, as they were added in another order.
    return sums >= observed - 1e-12 * float(abs(values).sum())


def _is_constant(sample: Array) -> bool:
    return float(sample.max() - sample.min()) <= 1e-12 * float(abs(sample).max())


def _hedges_factor(degrees: int) -> float:
    return 1 - 3 / (4 * degrees - 1)


def _array(values: Sequence[float]) -> Array:
    import numpy as np

    return np.asarray(values, dtype=np.float64)
