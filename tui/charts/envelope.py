"""From points to columns: the smallest and the largest value of each column of dots. Pure numpy.

Where the x values never fall, the columns are found by bisection, and long curves are read by
the blocks of their series: then a column's border lies up to a block behind its place, which is
at most a quarter of the column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui.charts.series import BLOCK, Blocks, FloatArray, extremes
from tui.charts.warp import Warp

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A range of the x axis."""

    start: float
    end: float

    @property
    def length(self) -> float:
        """How much of the axis it covers."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """A curve to be drawn: `warp` bends the axis, `blocks` spare reading every point."""

    x: FloatArray
    y: FloatArray
    warp: Warp | None = None
    blocks: Blocks | None = None
    is_sorted: bool | None = None

    @property
    def grows(self) -> bool:
        """Whether every x is finite and none is smaller than the one before."""
        if self.is_sorted is not None:
            return self.is_sorted
        return bool(np.isfinite(self.x).all() and (self.x[1:] >= self.x[:-1]).all())

    def on_axis(self, x: FloatArray) -> FloatArray:
        """Return where x values stand on the shown axis."""
        return x if self.warp is None else self.warp.forward(x)

    def native(self, places: FloatArray) -> FloatArray:
        """Return which x values stand at places of the shown axis."""
        return places if self.warp is None else self.warp.backward(places)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Envelope:
    """Each column's extremes, NaN where it has no finite value, and where non-finite ones fall."""

    low: FloatArray
    high: FloatArray
    is_bad: BoolArray

    def log10(self) -> Envelope:
        """Return it on a log scale; what has no logarithm is marked as no number."""
        with np.errstate(invalid="ignore", divide="ignore"):
            high = np.where(self.high > 0, np.log10(self.high), np.nan)
            low = np.where(self.low > 0, np.log10(self.low), high)
        return Envelope(low=low, high=high, is_bad=self.is_bad | (self.low <= 0))


def borders(span: Span, width: int) -> FloatArray:
    """Return the `width - 1` places where one column of dots ends and the next begins."""
    steps = (np.arange(width - 1) + 0.5) / max(width - 1, 1)
    places: FloatArray = span.start + steps * span.length
    return places


def dot_column(x: FloatArray, *, span: Span, width: int) -> IntArray:
    """Return the dot column of each place on the axis; beyond the ends, the outermost."""
    return np.searchsorted(borders(span, width), x, side="right").astype(np.int64)


def envelope(points: Points, *, span: Span, width: int) -> Envelope:
    """Return the extremes of each dot column of the part of a curve that lies in the span."""
    if not len(points.x):
        return _empty(width)
    inner = points.native(borders(span, width))
    start, end = points.native(np.array([span.start, span.end]))
    if not points.grows:
        return _of_any_order(points, inner, float(start), float(end), width)
    first = int(np.searchsorted(points.x, start, side="left"))
    last = max(int(np.searchsorted(points.x, end, side="right")), first)
    if points.blocks is not None and last - first >= 4 * BLOCK * width:
        return _by_block(points, points.blocks, inner, first, last)
    found = _by_point(points, inner, first, last)
    _reach_the_ends(points, found, (first, last), (float(start), float(end)))
    return found


def _bounds(x: FloatArray, inner: FloatArray, first: int, last: int) -> IntArray:
    """Return where each column begins, and the last one ends, counted from `first`."""
    bounds = np.empty(len(inner) + 2, dtype=np.int64)
    bounds[0], bounds[-1] = first, last
    bounds[1:-1] = np.searchsorted(x, inner, side="left")
    np.minimum(np.maximum(bounds, first, out=bounds), last, out=bounds)
    bounds -= first
    return bounds


def _by_point(points: Points, inner: FloatArray, first: int, last: int) -> Envelope:
    bounds = _bounds(points.x, inner, first, last)
    values = points.y[first:last]
    is_finite = np.isfinite(values)
    if is_finite.all():
        return _by_column(values, values, None, bounds)
    low, high = np.where(is_finite, values, np.inf), np.where(is_finite, values, -np.inf)
    return _by_column(low, high, ~is_finite, bounds)


def _by_block(points: Points, blocks: Blocks, inner: FloatArray, first: int, last: int) -> Envelope:
    num_whole = blocks.table.shape[1]
    first, last = first // BLOCK, -(-last // BLOCK)
    table = blocks.table[:, first:last]
    if last > num_whole:
        table = np.hstack([table, extremes(points.y[None, num_whole * BLOCK :])])
    # Where blocks begin is precise enough, and 64 times fewer places than there are points.
    bounds = _bounds(points.x[::BLOCK], inner, first, last)
    return _by_column(table[0], table[1], table[2] > 0, bounds)


def _by_column(
    low: FloatArray, high: FloatArray, is_bad: BoolArray | None, bounds: IntArray
) -> Envelope:
    """Return the extremes of values that lie column after column between the bounds."""
    found = _empty(len(bounds) - 1)
    filled = np.flatnonzero(bounds[1:] > bounds[:-1])
    if not len(filled):
        return found
    starts = bounds[filled]
    lowest, highest = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
    has_finite = lowest <= highest
    found.low[filled] = np.where(has_finite, lowest, np.nan)
    found.high[filled] = np.where(has_finite, highest, np.nan)
    if is_bad is not None:
        found.is_bad[filled] = np.logical_or.reduceat(is_bad, starts)
    return found


def _of_any_order(
    points: Points, inner: FloatArray, start: float, end: float, width: int
) -> Envelope:
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    is_bad = np.zeros(width, dtype=np.bool_)
    is_placed = np.isfinite(points.x) & (points.x >= start) & (points.x <= end)
    x, y = points.x[is_placed], points.y[is_placed]
    column = np.searchsorted(inner, x, side="right")
    is_finite = np.isfinite(y)
    np.minimum.at(low, column[is_finite], y[is_finite])
    np.maximum.at(high, column[is_finite], y[is_finite])
    is_bad[column[~is_finite]] = True
    is_empty = low > high
    low[is_empty] = high[is_empty] = np.nan
    return Envelope(low=low, high=high, is_bad=is_bad)


def _reach_the_ends(
    points: Points, found: Envelope, bounds: tuple[int, int], ends: tuple[float, float]
) -> None:
    """Carry the line on to both ends of the span where points beyond them say how it goes."""
    for column, place, at in zip((0, -1), bounds, ends, strict=True):
        if not (0 < place < len(points.x)) or not np.isnan(found.low[column]):
            continue
        x, y = points.x[place - 1 : place + 1], points.y[place - 1 : place + 1]
        if np.isfinite(y).all() and not found.is_bad[column]:
            found.low[column] = found.high[column] = np.interp(at, x, y)


def _empty(width: int) -> Envelope:
    return Envelope(
        low=np.full(width, np.nan),
        high=np.full(width, np.nan),
        is_bad=np.zeros(width, dtype=np.bool_),
    )


def bridge(found: Envelope) -> Envelope:
    """Return it with the empty columns between two points filled by the line that joins them.

    A gap with a non-finite value in it stays a gap.
    """
    low, high = found.low.copy(), found.high.copy()
    filled = np.flatnonzero(~np.isnan(low))
    if len(filled) in (0, 1, len(low)):
        return Envelope(low=low, high=high, is_bad=found.is_bad)
    columns = np.arange(len(low))
    following = np.searchsorted(filled, columns)
    is_between = np.isnan(low) & (following > 0) & (following < len(filled))
    left = filled[np.clip(following - 1, 0, None)]
    right = filled[np.clip(following, None, len(filled) - 1)]
    num_bad = np.concatenate([[0], np.cumsum(found.is_bad)])
    is_between &= num_bad[right] == num_bad[left + 1]
    middle = low[filled] / 2 + high[filled] / 2
    line = np.interp(columns, filled, middle)
    low[is_between] = high[is_between] = line[is_between]
    return Envelope(low=low, high=high, is_bad=found.is_bad)
