"""Isoflop curves: of equally costly runs, the model size at which the loss is least.

Per budget a parabola in log(size); over budgets size = factor * flops ** exponent.
numpy is imported in functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from runs.analysis.power_law import Range
from runs.analysis.scaling_points import ScalingPoint
from runs.statistics import student_quantile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Budgets closer than this are one: no two runs cost the same to the FLOP.
SAME_BUDGET = 1.15
MIN_SIZES = 3
_NUM_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parabola:
    """The least loss at one budget. `problem` says why there is none.

    best_size: parameters, its interval from four sizes on. is_inside: whether it lies between
    the sizes that were tried.
    """

    flops: float
    num_runs: int
    sizes: tuple[float, ...]
    best_size: Range | None
    best_loss: float | None
    is_inside: bool
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeLaw:
    """How the best size grows with the budget; the interval needs three budgets."""

    exponent: Range
    factor: float

    def size_at(self, flops: float) -> float:
        """Return the best number of parameters for a budget."""
        return self.factor * flops**self.exponent.value if self.exponent.value is not None else 0.0


def budgets(points: Sequence[ScalingPoint]) -> list[list[ScalingPoint]]:
    """Return the points by budget, cheapest first."""
    found: list[list[ScalingPoint]] = []
    for point in sorted(points, key=lambda point: point.flops):
        if found and point.flops <= SAME_BUDGET * found[-1][0].flops:
            found[-1].append(point)
        else:
            found.append([point])
    return found


def parabolas(points: Sequence[ScalingPoint]) -> list[Parabola]:
    """Return one parabola for each budget that at least two model sizes were tried at."""
    groups = [group for group in budgets(points) if len({point.params for point in group}) > 1]
    return [_parabola(group) for group in groups]


def size_law(found: Sequence[Parabola]) -> SizeLaw | None:
    """Return how the best size grows with the budget; None below two budgets with a minimum."""
    import numpy as np

    known = [
        (one.flops, one.best_size.value)
        for one in found
        if one.is_inside and one.best_size is not None and one.best_size.value is not None
    ]
    if len(known) < 2:
        return None
    x, y = np.log(np.array(known)).T
    centred = x - x.mean()
    slope = float((centred * y).sum() / (centred**2).sum())
    start = float(y.mean() - slope * x.mean())
    low = high = None
    if len(known) > 2:
        degrees = len(known) - 2
        left = float(((y - start - slope * x) ** 2).sum())
        half = student_quantile(degrees) * math.sqrt(left / degrees / float((centred**2).sum()))
        low, high = slope - half, slope + half
    return SizeLaw(exponent=Range(value=slope, low=low, high=high), factor=math.exp(start))


def _parabola(group: Sequence[ScalingPoint]) -> Parabola:
    import numpy as np

    sizes = np.array([point.params for point in group])
    values = np.array([point.loss for point in group])
    flops = math.exp(float(np.log([point.flops for point in group]).mean()))
    tried = tuple(sorted({float(size) for size in sizes}))
    without = partial(_without, flops=flops, num_runs=len(group), sizes=tried)
    if len(tried) < MIN_SIZES:
        return without(f"{len(tried)} model sizes; a parabola needs {MIN_SIZES}")
    x = np.log(sizes) - np.log(sizes).mean()
    bend, slope, start = np.polyfit(x, values, 2)
    if bend <= 0:
        return without("the loss has no minimum between these sizes")
    place = -slope / (2 * bend)
    middle = float(np.log(sizes).mean())
    best = math.exp(middle + place)
    return Parabola(
        flops=flops,
        num_runs=len(group),
        sizes=tried,
        best_size=_size_range(x, values, np.array([bend, slope, start]), middle),
        best_loss=float(start - slope**2 / (4 * bend)),
        is_inside=tried[0] <= best <= tried[-1],
        problem=None if tried[0] <= best <= tried[-1] else "the minimum lies outside these sizes",
    )


def _without(problem: str, *, flops: float, num_runs: int, sizes: tuple[float, ...]) -> Parabola:
    return Parabola(
        flops=flops,
        num_runs=num_runs,
        sizes=sizes,
        best_size=None,
        best_loss=None,
        is_inside=False,
        problem=problem,
    )


def _size_range(x: Array, values: Array, shape: Array, middle: float) -> Range:
    """Return the size at the minimum, with a parametric bootstrap where a spread can be seen."""
    import numpy as np

    best = math.exp(middle - shape[1] / (2 * shape[0]))
    degrees = len(x) - 3
    if degrees < 1:
        return Range(value=best, low=None, high=None)
    fitted = np.polyval(shape, x)
    sd = math.sqrt(float(((values - fitted) ** 2).sum()) / degrees)
    rng = np.random.default_rng(0)
    sds = sd * np.sqrt(degrees / rng.chisquare(degrees, _NUM_DRAWS))
    drawn = fitted + rng.standard_normal((_NUM_DRAWS, len(x))) * sds[:, None]
    bends, slopes, _ = np.polyfit(x, drawn.T, 2)
    # A draw that is bent the other way has its least loss at one end, whichever it falls to.
    edges = np.where(slopes > 0, -np.inf, np.inf)
    with np.errstate(divide="ignore"):
        places = np.where(bends > 0, -slopes / (2 * bends), edges)
    low, high = np.quantile(places, [0.025, 0.975], method="inverted_cdf")
    ends = [math.exp(middle + end) if math.isfinite(end) else None for end in (low, high)]
    return Range(value=best, low=ends[0], high=ends[1])
