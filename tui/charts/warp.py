"""Where steps stand on another x axis: tokens, seconds, FLOPs or dollars. Pure numpy.

A curve keeps its steps. What is bent is the axis: the borders of the columns are taken back to
steps, which costs as much as the chart is wide, however long the curve is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tui.charts.series import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Warp:
    """A growing, piecewise linear map from what a curve is logged against to the shown axis.

    Beyond its ends it goes on as steep as it was on the whole.
    """

    native: FloatArray
    shown: FloatArray
    scale: float = 1.0

    def forward(self, native: FloatArray) -> FloatArray:
        """Return where values of the curve's own x stand on the axis."""
        return _through(native, self.native, self.shown) * self.scale

    def backward(self, shown: FloatArray) -> FloatArray:
        """Return which values of the curve's own x stand at places of the axis."""
        return _through(shown / self.scale, self.shown, self.native)


def _through(values: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    inside: FloatArray = np.interp(values, x, y)
    span = float(x[-1] - x[0])
    slope = float(y[-1] - y[0]) / span if span > 0 else 0.0
    beyond = np.clip(values - x[-1], 0.0, None) + np.clip(values - x[0], None, 0.0)
    extended: FloatArray = inside + slope * beyond
    return extended


def warp_of(native: FloatArray, shown: FloatArray, *, scale: float = 1.0) -> Warp | None:
    """Return the map through the given points, None unless there are two that both grow."""
    is_usable = (
        len(native) == len(shown)
        and len(native) >= 2
        and scale > 0
        and native[-1] > native[0]
        and shown[-1] > shown[0]
        and np.isfinite(shown[-1])
    )
    return Warp(native=native, shown=shown, scale=scale) if is_usable else None
