"""Points that only ever grow: a cheap immutable view over a shared buffer.

`extended` writes behind the last point of the newest version, so older versions stay valid and
a live curve costs no copy per poll. A version that was already extended is copied instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_FIRST_CAPACITY = 256


class _Buffer:
    __slots__ = ("points", "used")

    def __init__(self, capacity: int) -> None:
        self.points: FloatArray = np.empty((2, capacity), dtype=np.float64)
        self.used = 0


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

    def extended(self, x: Sequence[float], y: Sequence[float]) -> Series:
        """Return these points followed by the new ones."""
        if not x:
            return self
        newer = object.__new__(Series)
        newer._length = self._length
        newer._buffer = self._buffer
        needed = self._length + len(x)
        if self._buffer.used != self._length or needed > self._buffer.points.shape[1]:
            newer._buffer = _Buffer(max(2 * needed, _FIRST_CAPACITY))
            newer._buffer.points[:, : self._length] = self._buffer.points[:, : self._length]
        newer._write(x, y)
        return newer

    def split(self, limit: float) -> tuple[Series, Series]:
        """Return the points with x up to `limit`, and those beyond it."""
        is_kept = self.x <= limit
        if is_kept.all():
            return self, Series()
        kept = Series(self.x[is_kept].tolist(), self.y[is_kept].tolist())
        return kept, Series(self.x[~is_kept].tolist(), self.y[~is_kept].tolist())

    def _view(self, row: int) -> FloatArray:
        view = self._buffer.points[row, : self._length]
        view.flags.writeable = False
        return view

    def _write(self, x: Sequence[float], y: Sequence[float]) -> None:
        end = self._length + len(x)
        self._buffer.points[0, self._length : end] = x
        self._buffer.points[1, self._length : end] = y
        self._length = self._buffer.used = end
