"""The parts of a drawing: axes with round numbers, marks with intervals. Pure; SVG out.

Colours and strokes are classes (s0 to s5, axis, grid), so that the page's style decides them and
no element carries a style of its own. A series differs in dashes and marks too, not in colour only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.experiments.report.markup import Markup, join, tag
from core.ticks import nice_step

NUM_STYLES = 6
RADIUS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A range of values, and the places of its two ends in the drawing."""

    low: float
    high: float
    start: float
    stop: float
    step: float

    def at(self, value: float) -> float:
        """Return the place of a value; one outside the range is at its end."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.stop - self.start)

    @property
    def ticks(self) -> tuple[float, ...]:
        """The round values inside the range."""
        first, last = (
            math.ceil(self.low / self.step - 1e-9),
            math.floor(self.high / self.step + 1e-9),
        )
        return tuple(index * self.step for index in range(first, last + 1))

    def label(self, value: float) -> str:
        """Return a value with as many digits as tell the ticks apart."""
        digits = max(0, -math.floor(math.log10(self.step) + 1e-9))
        if round(self.step * 10**digits, 6) % 1:
            digits += 1
        return f"{value:.{digits}f}"


def axis_over(
    values: Sequence[float],
    start: float,
    stop: float,
    *,
    has_zero: bool = False,
    num_ticks: int = 5,
    is_whole: bool = False,
) -> Axis:
    """Return an axis with round ends around all values; is_whole keeps ticks off fractions."""
    known = [value for value in values if math.isfinite(value)] + ([0.0] if has_zero else [])
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        low, high = (low - 0.5, high + 0.5) if low else (0.0, 1.0)
    step = nice_step(high - low, num_ticks)
    if is_whole:
        step = max(1.0, math.ceil(step))
        return Axis(low=low, high=high, start=start, stop=stop, step=step)
    return Axis(
        low=math.floor(low / step + 1e-9) * step,
        high=math.ceil(high / step - 1e-9) * step,
        start=start,
        stop=stop,
        step=step,
    )


def x_axis(axis: Axis, top: float, bottom: float, title: str) -> Markup:
    """Return the grid, the numbers and the title of an axis below the drawing."""
    parts = [tag("path", class_="axis", d=f"M{_n(axis.start)} {_n(bottom)}H{_n(axis.stop)}")]
    for value in axis.ticks:
        x = axis.at(value)
        parts.append(tag("line", class_="grid", x1=x, x2=x, y1=top, y2=bottom))
        parts.append(tag("text", axis.label(value), x=x, y=bottom + 15, text_anchor="middle"))
    middle = (axis.start + axis.stop) / 2
    parts.append(tag("text", title, class_="title", x=middle, y=bottom + 33, text_anchor="middle"))
    return join(parts)


def y_axis(axis: Axis, left: float, right: float, title: str) -> Markup:
    """Return the grid and the numbers of an axis at the left, its title above it."""
    parts = []
    for value in axis.ticks:
        y = axis.at(value)
        parts.append(tag("line", class_="grid", x1=left, x2=right, y1=y, y2=y))
        parts.append(tag("text", axis.label(value), x=left - 6, y=y + 4, text_anchor="end"))
    if title:
        top = min(axis.start, axis.stop)
        parts.append(tag("text", title, class_="title", x=4, y=top - 10))
    return join(parts)


def mark(style: int, x: float, y: float, radius: float = RADIUS) -> Markup:
    """Return a series' mark: circle, square, diamond, triangle, cross or ring."""
    name, r = f"mark s{style % NUM_STYLES}", radius
    shapes = (
        lambda: tag("circle", class_=name, cx=x, cy=y, r=r),
        lambda: tag("rect", class_=name, x=x - r, y=y - r, width=2 * r, height=2 * r),
        lambda: _path(name, f"M{_n(x)} {_n(y - r * 1.3)}l{_n(r * 1.3)} {_n(r * 1.3)}"
                      f"l{_n(-r * 1.3)} {_n(r * 1.3)}l{_n(-r * 1.3)} {_n(-r * 1.3)}Z"),
        lambda: _path(name, f"M{_n(x)} {_n(y - r * 1.2)}l{_n(r * 1.2)} {_n(r * 2.2)}"
                      f"h{_n(-r * 2.4)}Z"),
        lambda: _path(f"{name} hollow", f"M{_n(x - r)} {_n(y - r)}l{_n(2 * r)} {_n(2 * r)}"
                      f"M{_n(x - r)} {_n(y + r)}l{_n(2 * r)} {_n(-2 * r)}"),
        lambda: tag("circle", class_=f"{name} hollow", cx=x, cy=y, r=r),
    )  # fmt: skip
    return shapes[style % NUM_STYLES]()


def whisker(style: int, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """Return an interval: a line with bars across its two ends."""
    dx, dy = (0.0, 4.0) if y1 == y2 else (4.0, 0.0)
    ends = "".join(
        f"M{_n(x - dx)} {_n(y - dy)}L{_n(x + dx)} {_n(y + dy)}" for x, y in ((x1, y1), (x2, y2))
    )
    path = f"M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}{ends}"
    return _path(f"whisker s{style % NUM_STYLES}", path)


def curve(style: int, points: Sequence[tuple[float, float]], *, is_quiet: bool = False) -> Markup:
    """Return a line through points."""
    name = "curve quiet" if is_quiet else f"curve s{style % NUM_STYLES}"
    return _path(name, "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points))


def band(
    style: int, lows: Sequence[tuple[float, float]], highs: Sequence[tuple[float, float]]
) -> Markup:
    """Return the area between two lines."""
    around = [*highs, *reversed(lows)]
    path = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in around) + "Z"
    return _path(f"band s{style % NUM_STYLES}", path)


def drawing(width: float, height: float, told: str, parts: Sequence[Markup]) -> Markup:
    """Return a picture; `told` says in words what it shows."""
    return tag("svg", *parts, viewBox=f"0 0 {_n(width)} {_n(height)}", role="img", aria_label=told)


def fit(label: str, max_chars: int) -> str:
    """Return a label that is cut where it is too long."""
    return label if len(label) <= max_chars else label[: max_chars - 2] + ".."


def _path(name: str, d: str) -> Markup:
    return tag("path", class_=name, d=d)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
