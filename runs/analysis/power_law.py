"""The law y = floor + scale * (x / unit) ** -exponent through points, with intervals.

For a given exponent the other two follow from linear least squares, so the fit is a search along
one line and cannot end in a side valley. floor and scale are at least 0. The noise is taken as
normal and equal for all points; the intervals are those of a parametric bootstrap that draws the
spread too, as few points leave it uncertain. numpy is imported in functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runs.statistics import CONFIDENCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Three unknowns, and one point more so that the noise can be seen.
MIN_POINTS = 4
NUM_DRAWS = 1000
_MIN_EXPONENT, _MAX_EXPONENT, _NUM_EXPONENTS = 0.01, 3.0, 160
_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A figure with its 95 % interval; an end is None where it lies beyond all numbers."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PowerLaw:
    """A fitted law. `unit` is the x at which the scale is read; `sd` the spread about the law.

    draws: (draw, [floor, scale, exponent, sd]) of the bootstrap.
    """

    floor: Range
    scale: Range
    exponent: Range
    unit: float
    sd: float
    num: int
    draws: Array = field(repr=False)

    @property
    def is_loose(self) -> bool:
        """Whether the interval of the exponent ends only where the search for it does."""
        low, high = self.exponent.low or 0.0, self.exponent.high or 0.0
        return low < 1.1 * _MIN_EXPONENT or high > _MAX_EXPONENT / 1.1

    def at(self, x: float) -> float:
        """Return the law's value at x."""
        return float(_value(_point(self), x / self.unit)[0])

    def predict(self, x: float, *, seed: int = 0) -> Range:
        """Return what one more measurement at x would give."""
        import numpy as np

        noise = np.random.default_rng(seed).standard_normal(len(self.draws))
        drawn = _value(self.draws, x / self.unit) + noise * self.draws[:, 3]
        low, high = np.quantile(drawn, _TAILS)
        return Range(value=self.at(x), low=float(low), high=float(high))

    def reach(self, level: float) -> Range:
        """Return the x where the law comes down to a level; no value where it never does."""
        import numpy as np

        low, high = np.quantile(_crossing(self.draws, level), _TAILS, method="inverted_cdf")
        ends = [_finite(float(_crossing(_point(self), level)[0])), _finite(low), _finite(high)]
        value, low_end, high_end = (None if end is None else end * self.unit for end in ends)
        return Range(value=value, low=low_end, high=high_end)

    def share_reaching(self, level: float) -> float:
        """Return the share of the draws in which the law comes down to a level at all."""
        import numpy as np

        return float(np.isfinite(_crossing(self.draws, level)).mean())


def fit(
    x: Sequence[float] | Array,
    y: Sequence[float] | Array,
    *,
    num_draws: int = NUM_DRAWS,
    seed: int = 0,
) -> PowerLaw:
    """Return the law through points of positive x.

    Raises:
        ValueError: fewer than four different x.
    """
    import numpy as np

    at, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(np.unique(at)) < MIN_POINTS:
        raise ValueError(f"a power law needs {MIN_POINTS} different x")
    unit = float(np.exp(np.log(at).mean()))
    scaled = at / unit
    best = _solve(scaled, values[None, :])
    fitted = _value(best, scaled[None, :])[0]
    degrees = len(at) - 3
    sd = float(np.sqrt(((values - fitted) ** 2).sum() / degrees))
    rng = np.random.default_rng(seed)
    sds = sd * np.sqrt(degrees / rng.chisquare(degrees, num_draws))
    noise = rng.standard_normal((num_draws, len(at))) * sds[:, None]
    draws = np.column_stack((_solve(scaled, fitted + noise), sds))
    floor, scale, exponent = (
        Range(value=float(best[0, i]), low=float(low), high=float(high))
        for i, (low, high) in enumerate(np.quantile(draws[:, :3], _TAILS, axis=0).T)
    )
    return PowerLaw(
        floor=floor, scale=scale, exponent=exponent, unit=unit, sd=sd, num=len(at), draws=draws
    )


def _solve(x: Array, y: Array) -> Array:
    """Return floor, scale and exponent of the best law for every row of y: (row, 3)."""
    import numpy as np

    grid = np.geomspace(_MIN_EXPONENT, _MAX_EXPONENT, _NUM_EXPONENTS)
    errors = np.stack([_linear(x[None, :] ** -exponent, y)[2] for exponent in grid], axis=1)
    place = np.clip(errors.argmin(axis=1), 1, len(grid) - 2)
    rows = np.arange(len(y))
    before, here, after = (errors[rows, place + shift] for shift in (-1, 0, 1))
    bend = before - 2 * here + after
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(bend > 0, np.clip((before - after) / (2 * bend), -1, 1), 0.0)
    exponents = np.exp(np.log(grid[place]) + shift * np.log(grid[1] / grid[0]))
    floor, scale, _ = _linear(x[None, :] ** -exponents[:, None], y)
    return np.column_stack((floor, scale, exponents))


def _linear(u: Array, y: Array) -> tuple[Array, Array, Array]:
    """Return floor, scale and squared error of y = floor + scale * u, neither below 0."""
    import numpy as np

    u = np.broadcast_to(u, y.shape)
    centred = u - u.mean(axis=1, keepdims=True)
    scale = (y * centred).sum(axis=1) / (centred**2).sum(axis=1)
    floor = y.mean(axis=1) - scale * u.mean(axis=1)
    through = (y * u).sum(axis=1) / (u**2).sum(axis=1)
    scale = np.where(floor < 0, through, scale)
    floor = np.where(floor < 0, 0.0, floor)
    floor = np.where(scale < 0, y.mean(axis=1), floor)
    scale = np.maximum(scale, 0.0)
    errors = ((y - floor[:, None] - scale[:, None] * u) ** 2).sum(axis=1)
    return floor, scale, errors


def _point(law: PowerLaw) -> Array:
    import numpy as np

    return np.array([[law.floor.value, law.scale.value, law.exponent.value]], dtype=np.float64)


def _value(laws: Array, x: float | Array) -> Array:
    value: Array = laws[:, 0, None] + laws[:, 1, None] * x ** -laws[:, 2, None]
    return value if value.shape[1] > 1 else value[:, 0]


def _crossing(laws: Array, level: float) -> Array:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = (level - laws[:, 0]) / laws[:, 1]
        found = np.where(ratio > 0, np.maximum(ratio, 1e-300) ** (-1 / laws[:, 2]), np.inf)
    crossing: Array = np.nan_to_num(found, nan=np.inf, posinf=np.inf)
    return crossing


def _finite(value: float) -> float | None:
    return float(value) if value < float("inf") else None
