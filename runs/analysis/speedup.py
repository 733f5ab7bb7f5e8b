"""How much sooner one run gets to where another one ended: in steps, tokens, time, FLOPs, dollars.

Curves are compared at equal values, not at equal steps. Between two measured points the best
value so far is a monotone cubic (Fritsch and Butland 1984). numpy is imported in functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runs.metrics.run_curve import AXES, Axis, RunCurve, smoothed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_POINTS_BETWEEN = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one run spent to get somewhere, next to what the other did.

    reference: where the other first was as good as at its end. share: `spent / reference`.
    low and high: the same for values as far off as noise allows, None where there is no noise
    floor or the curve does not get that far.
    """

    spent: float
    reference: float
    share: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """How the chaser gets to the value that the leader ended at; no shares when it never does."""

    level: float
    chaser_best: float
    shares: Mapping[Axis, Share]

    @property
    def is_reached(self) -> bool:
        """Whether the chaser gets there at all."""
        return bool(self.shares)


def speedup(
    leader: RunCurve, chaser: RunCurve, *, is_higher_better: bool = False, noise: float = 0.0
) -> Speedup:
    """Return what it takes the chaser to reach the leader's final value.

    noise: how far a difference of the two may be off, such as half of its 95 % interval.
    """
    sign = -1.0 if is_higher_better else 1.0
    level = sign * leader.final
    shares = {}
    for axis in AXES:
        if axis not in leader.x or axis not in chaser.x:
            continue
        reference = reach(leader.x[axis], sign * smoothed(leader.values), level)
        spent = reach(chaser.x[axis], sign * smoothed(chaser.values), level)
        if spent is None or reference is None or reference <= 0:
            continue
        easy, hard = (
            reach(chaser.x[axis], sign * smoothed(chaser.values), level + shift)
            for shift in (noise, -noise)
        )
        shares[axis] = Share(
            spent=spent,
            reference=reference,
            share=spent / reference,
            low=easy / reference if noise and easy is not None else None,
            high=hard / reference if noise and hard is not None else None,
        )
    best = float((sign * smoothed(chaser.values)).min())
    return Speedup(level=sign * level, chaser_best=sign * best, shares=shares)


def reach(x: Array, y: Array, level: float) -> float | None:
    """Return the x where falling values first get down to a level; None when they do not."""
    import numpy as np

    best = np.minimum.accumulate(y)
    if best[-1] > level:
        return None
    is_new = np.append([True], best[1:] < best[:-1])
    at, heights = x[is_new], best[is_new]
    place = int(np.argmax(heights <= level))
    if place == 0:
        return float(at[0])
    slopes = monotone_slopes(at, heights)
    t = np.linspace(0.0, 1.0, _POINTS_BETWEEN + 1)
    width = at[place] - at[place - 1]
    between = _hermite(t, heights[place - 1 : place + 1], slopes[place - 1 : place + 1] * width)
    # np.interp wants rising abscissas: the heights fall.
    return float(at[place - 1] + width * np.interp(-level, -between, t))


def monotone_slopes(x: Array, y: Array) -> Array:
    """Return the slope at each point of a cubic through them that overshoots none of them."""
    import numpy as np

    if len(x) < 2:
        return np.zeros_like(y)
    widths = np.diff(x)
    rises = np.diff(y) / widths
    slopes = np.concatenate(([rises[0]], np.zeros(len(x) - 2), [rises[-1]]))
    is_same_way = rises[:-1] * rises[1:] > 0
    # The weighted harmonic mean of both sides never overshoots.
    left, right = 2 * widths[1:] + widths[:-1], widths[1:] + 2 * widths[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (left + right) / (left / rises[:-1] + right / rises[1:])
    slopes[1:-1] = np.where(is_same_way, means, 0.0)
    return slopes


def _hermite(t: Array, ends: Array, slopes: Array) -> Array:
    value: Array = (
        ends[0] * (1 + 2 * t) * (1 - t) ** 2
        + slopes[0] * t * (1 - t) ** 2
        + ends[1] * t * t * (3 - 2 * t)
        + slopes[1] * t * t * (t - 1)
    )
    return value
