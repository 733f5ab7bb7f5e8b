"""What one chart shows, and what its curves say at a place of the x axis. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tui.charts.envelope import Span
from tui.charts.names import AxisName
from tui.charts.plot import NO_RUN, Layer, Role
from tui.shell import format as fmt

Unit = Literal["plain", "compact", "percent", "bytes", "watts", "celsius"]
NUM_RUN_TONES = 8
# A place that was taken to another axis and back is the same place.
_SAME = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendEntry:
    """One of several overlaid runs: its place among them, the letter on its curves, its name."""

    run: int
    letter: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChartData:
    """One chart: its title, the newest value, its curves and what a person should know.

    span: how much of the x axis there is, where other charts hold more of it than its own curves.
    legend: the runs whose curves lie over each other; empty for the curves of one run.
    """

    title: str
    latest: str = ""
    warning: str = ""
    hint: str = ""
    layers: tuple[Layer, ...] = ()
    unit: Unit = "plain"
    axis: AxisName = "step"
    span: Span | None = None
    legend: tuple[LegendEntry, ...] = ()

    def probe(self, run: int = NO_RUN) -> Layer | None:
        """Return the layer that tells the values of a run: what was logged, not its average."""
        own = [layer for layer in self.layers if layer.run == run and layer.role is not Role.GHOST]
        return min(own, key=lambda layer: layer.role, default=None)


def run_letter(place: int) -> str:
    """Return the letter of the overlaid run at a place: A to Z, then a to z, then again."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return letters[place % len(letters)]


def value_text(value: float | None, unit: Unit) -> str:
    """Return a value of a curve as titles show it."""
    if value is None:
        return ""
    match unit:
        case "percent":
            return fmt.percent(value, 1)
        case "compact":
            return fmt.compact(value)
        case "bytes":
            return fmt.size(value) if np.isfinite(value) else fmt.not_finite(value)
        case "watts":
            return f"{fmt.compact(value)} W"
        case "celsius":
            return f"{fmt.compact(value)} C"
        case _:
            return fmt.decimal(value)


def place_text(place: float, axis: AxisName) -> str:
    """Return a place of the x axis as it is written below it."""
    match axis:
        case "time":
            return fmt.duration(place) or "0s"
        case "usd":
            return f"${place:.2f}" if abs(place) < 100 else f"${fmt.compact(place)}"
        case "step":
            return f"{place:,.0f}" if abs(place) < 100_000 else fmt.compact(place)
        case _:
            return fmt.compact(place)


def index_at(layer: Layer, place: float) -> int | None:
    """Return the last point of a curve at or before a place of the axis, if there is one."""
    points = layer.points
    native = float(points.native(np.array([place]))[0])
    native += _SAME * max(abs(native), 1.0)
    if points.grows:
        found = int(np.searchsorted(points.x, native, side="right")) - 1
        return found if found >= 0 else None
    reached = np.flatnonzero(points.x <= native)
    return int(reached[np.argmax(points.x[reached])]) if len(reached) else None


def value_at(layer: Layer, place: float) -> float | None:
    """Return the value of a curve at a place: that of its last point at or before it."""
    index = index_at(layer, place)
    return None if index is None else float(layer.y[index])


def snapped(layer: Layer, place: float, *, by: int = 0) -> float:
    """Return the place of the point of a curve nearest to a place, or of one `by` points on."""
    points = layer.points
    if not len(points.x) or not points.grows:
        return place
    at = index_at(layer, place)
    here = 0 if at is None else at
    after = min(here + 1, len(points.x) - 1)
    pair = points.on_axis(points.x[[here, after]])
    if not by and abs(pair[1] - place) < abs(place - pair[0]):
        here = after
    here = min(max(here + by, 0), len(points.x) - 1)
    return float(points.on_axis(points.x[here : here + 1])[0])
