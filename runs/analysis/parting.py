"""Where two curves part: the first step whose difference noise does not explain. Pure numpy.

The runs are compared step by step, so that what a batch does to both of them cancels out.
numpy is imported in functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from runs.metrics.run_curve import RunCurve, window_means

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MIN_POINTS = 8
# The windows over which a difference has to keep its sign and its size to count as one.
NUM_SUSTAINED = 3
# Short windows date a parting best; longer ones find smaller partings. Tried in this order.
_WINDOW_SHARES = (0.03, 0.06, 0.12)
# Relative: below this two figures differ by rounding, as on another machine.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """How two curves come to differ; differences are the second minus the first.

    step: where they part for good, None when they never leave the noise.
    same_until: the last step up to which they are equal but for rounding; None from the start.
    final_difference: the mean over the last 12 % of the shared steps.
    threshold: what a mean over `window` points has to exceed.
    """

    step: int | None
    same_until: int | None
    difference: float | None
    final_difference: float
    threshold: float
    window: int
    num_steps: int
    last_step: int


def find_parting(first: RunCurve, second: RunCurve, *, floor: float = 0.0) -> Parting | None:
    """Return where two curves part; None when they share fewer than 8 steps.

    floor: a difference that seeds alone may make, which the threshold then is at least. It counts
    for runs that begin alike too: rounding that differs grows until they are as far apart.
    """
    import numpy as np

    steps, here, there = np.intersect1d(
        first.x["step"], second.x["step"], assume_unique=True, return_indices=True
    )
    if len(steps) < MIN_POINTS:
        return None
    a, b = first.values[here], second.values[there]
    gaps = b - a
    is_same = np.abs(gaps) <= ROUNDING * np.maximum(np.abs(a), np.abs(b))
    num_same = len(steps) if is_same.all() else int(np.argmin(is_same))
    num_last = round(len(steps) * _WINDOW_SHARES[-1])
    spread = _step_noise(gaps[num_same:])
    for share in _WINDOW_SHARES:
        window = max(3, round(len(steps) * share) | 1)
        means, limit = window_means(gaps, window), _limit(len(gaps), spread, window, floor)
        place = _first_sustained(means, limit, NUM_SUSTAINED * window)
        if place is not None:
            # A window reaches back over steps that are still equal.
            place = max(place, num_same)
            break
    return Parting(
        step=None if place is None else int(steps[place]),
        same_until=int(steps[num_same - 1]) if num_same else None,
        difference=None if place is None else float(means[place]),
        final_difference=float(gaps[-max(3, num_last) :].mean()),
        threshold=limit,
        window=window,
        num_steps=len(steps),
        last_step=int(steps[-1]),
    )


def _limit(num: int, spread: float, window: int, floor: float) -> float:
    """Return what the mean over a window has to exceed to be more than noise."""
    # The largest of n means of pure noise is about sqrt(2 ln n) of their deviations; one more
    # keeps the chance of a false parting low.
    deviations = math.sqrt(2 * math.log(num)) + 1
    return max(deviations * spread / math.sqrt(window), floor, 1e-12)


def _step_noise(gaps: Array) -> float:
    """Return the deviation of one gap about its trend, from the gaps between neighbours.

    By their median, which a jump where the curves part does not move.
    """
    import numpy as np

    if len(gaps) < 2:
        return 0.0
    # For normal noise the median absolute value is 0.6745 deviations; of a jump, sqrt(2) of them.
    return float(np.median(np.abs(np.diff(gaps)))) / 0.6745 / math.sqrt(2)


def _first_sustained(means: Array, limit: float, length: int) -> int | None:
    """Return where the means first stay beyond a limit for so long, all on one side.

    The last window may be shorter: there is no more to see.
    """
    import numpy as np

    sides = np.sign(means) * (np.abs(means) > limit)
    edges = np.flatnonzero(np.diff(np.concatenate(([0.0], sides, [0.0]))))
    for start, end in pairwise(edges.tolist()):
        is_to_the_end = end == len(means) and end - start >= length // NUM_SUSTAINED
        if sides[start] and (end - start >= length or is_to_the_end):
            return int(start)
    return None
