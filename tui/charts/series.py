"""Points that only ever grow: a cheap immutable view over a shared buffer.

`extended` writes behind the last point of the newest version, so older versions stay valid and
a live curve costs no copy per poll. A version that was already extended is copied instead.
What is derived from the points (the smallest and largest of each block, the smoothed curve)
grows with the buffer, so that neither a frame nor a poll ever looks at all points again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tui.charts.smoothing import SmoothState, smoothing_beta

FloatArray = NDArray[np.float64]
_FIRST_CAPACITY = 64
BLOCK = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blocks:
    """The finite extremes and the number of non-finite values of each whole block of points.

    A block without a finite value has low > high.
    """

    table: FloatArray

    @property
    def low(self) -> FloatArray:
        """The smallest finite value of each block."""
        values: FloatArray = self.table[0]
        return values

    @property
    def high(self) -> FloatArray:
        """The largest finite value of each block."""
        values: FloatArray = self.table[1]
        return values

    @property
    def num_bad(self) -> FloatArray:
        """How many values of each block are not finite."""
        values: FloatArray = self.table[2]
        return values


def extremes(blocks: FloatArray) -> FloatArray:
    """Return the finite extremes and the number of non-finite values of each row, as (3, rows)."""
    is_finite = np.isfinite(blocks)
    low = np.where(is_finite, blocks, np.inf).min(axis=1)
    high = np.where(is_finite, blocks, -np.inf).max(axis=1)
    return np.stack([low, high, blocks.shape[1] - is_finite.sum(axis=1)])


class _Buffer:
    __slots__ = ("blocks", "is_sorted", "num_blocked", "points", "smooth", "used")

    def __init__(self, capacity: int) -> None:
        self.points: FloatArray = np.empty((2, capacity), dtype=np.float64)
        self.used = 0
        self.is_sorted = True
        self.blocks: FloatArray = np.empty((3, 0), dtype=np.float64)
        self.num_blocked = 0
        self.smooth: tuple[SmoothState, Series] | None = None

    def blocked(self, length: int) -> Blocks:
        """Return the blocks that lie wholly within the first `length` points."""
        num_whole = length // BLOCK
        if num_whole > self.blocks.shape[1]:
            grown = np.empty((3, max(2 * num_whole, 4)), dtype=np.float64)
            grown[:, : self.num_blocked] = self.blocks[:, : self.num_blocked]
            self.blocks = grown
        if num_whole > self.num_blocked:
            new = slice(self.num_blocked, num_whole)
            values = self.points[1, new.start * BLOCK : new.stop * BLOCK].reshape(-1, BLOCK)
            self.blocks[:, new] = extremes(values)
            self.num_blocked = num_whole
        return Blocks(table=self.blocks[:, :num_whole])


class Series:
    """The points (x, y) of one curve in the order they were logged."""

    __slots__ = ("_buffer", "_length")

    def __init__(self, x: Sequence[float] = (), y: Sequence[float] = ()) -> None:
        self._buffer = _Buffer(max(len(x), _FIRST_CAPACITY))
        self._length = 0
        self._write(x, y)

    def __len__(self) -> int:
        return self._length

    @property
    def x(self) -> FloatArray:
        """The x values, not to be written to."""
        return self._view(0)

    @property
    def y(self) -> FloatArray:
        """The y values, not to be written to."""
        return self._view(1)

    @property
    def last(self) -> float | None:
        """The newest y value."""
        return float(self._buffer.points[1, self._length - 1]) if self._length else None

    @property
    def is_sorted(self) -> bool:
        """Whether every x is finite and none is smaller than the one before."""
        return self._buffer.is_sorted

    @property
    def blocks(self) -> Blocks:
        """The extremes of all whole blocks."""
        return self._buffer.blocked(self._length)

    @property
    def num_bad(self) -> int:
        """How many y values are not finite."""
        blocks = self.blocks
        tail = self.y[len(blocks.low) * BLOCK :]
        return int(blocks.num_bad.sum()) + int(np.count_nonzero(~np.isfinite(tail)))

    @property
    def smoothed(self) -> Series:
        """The debiased moving average of this curve, computed once for each point."""
        beta = smoothing_beta(self._length)
        kept = self._buffer.smooth
        if kept is None or kept[0].beta != beta:
            kept = (SmoothState(beta=beta), Series())
        state, means = kept
        if len(means) < self._length:
            new, state = state.continued(self.y[len(means) :])
            means = means.extended(self.x[len(means) :], new)
            self._buffer.smooth = (state, means)
        return means.head(self._length)

    def head(self, length: int) -> Series:
        """Return the first `length` points; they share this curve's buffer."""
        if length >= self._length:
            return self
        shorter = object.__new__(Series)
        shorter._buffer, shorter._length = self._buffer, length
        return shorter

    def extended(self, x: Sequence[float] | FloatArray, y: Sequence[float] | FloatArray) -> Series:
        """Return these points followed by the new ones."""
        if not len(x):
            return self
        newer = object.__new__(Series)
        newer._length = self._length
        newer._buffer = self._buffer
        needed = self._length + len(x)
        if self._buffer.used != self._length or needed > self._buffer.points.shape[1]:
            newer._buffer = _Buffer(max(needed + needed // 2, _FIRST_CAPACITY))
            newer._buffer.points[:, : self._length] = self._buffer.points[:, : self._length]
            newer._buffer.is_sorted = self._buffer.is_sorted
            newer._buffer.smooth = self._buffer.smooth
            if self._buffer.used == self._length:
                newer._buffer.blocks = self._buffer.blocks
                newer._buffer.num_blocked = self._buffer.num_blocked
            else:
                newer._buffer.smooth = None
        newer._write(x, y)
        return newer

    def split(self, limit: float) -> tuple[Series, Series]:
        """Return the points with x up to `limit`, and those beyond it."""
        is_kept = self.x <= limit
        if is_kept.all():
            return self, Series()
        kept = Series().extended(self.x[is_kept], self.y[is_kept])
        return kept, Series().extended(self.x[~is_kept], self.y[~is_kept])

    def at_or_before(self, x: float) -> int | None:
        """Return the place of the last point whose x is at most `x`, if there is one."""
        if self.is_sorted:
            place = int(np.searchsorted(self.x, x, side="right")) - 1
            return place if place >= 0 else None
        reached = np.flatnonzero(self.x <= x)
        return int(reached[np.argmax(self.x[reached])]) if len(reached) else None

    def _view(self, row: int) -> FloatArray:
        view = self._buffer.points[row, : self._length]
        view.flags.writeable = False
        return view

    def _write(self, x: Sequence[float] | FloatArray, y: Sequence[float] | FloatArray) -> None:
        buffer = self._buffer
        start, end = self._length, self._length + len(x)
        buffer.points[0, start:end] = x
        buffer.points[1, start:end] = y
        if buffer.is_sorted:
            added = buffer.points[0, max(start - 1, 0) : end]
            buffer.is_sorted = bool(
                np.isfinite(added).all() and (len(added) < 2 or (added[1:] >= added[:-1]).all())
            )
        self._length = buffer.used = end
