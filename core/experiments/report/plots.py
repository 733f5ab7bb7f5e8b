"""The plots of a self-chat report, as SVG: by turn, by conversation, by setting. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.experiments.report.markup import Markup, tag
from core.experiments.report.svg import (
    Axis,
    axis_over,
    band,
    curve,
    drawing,
    fit,
    mark,
    whisker,
    x_axis,
    y_axis,
)
from runs.statistics import Estimate

WIDTH = 460.0
HEIGHT = 290.0
TOP, RIGHT, BOTTOM, LEFT = 30.0, 14.0, 44.0, 46.0
ROW = 30.0
# As many lines and bands as one plot can hold apart; more settings get a small plot each.
MAX_CURVES = 4
SMALL_WIDTH, SMALL_HEIGHT = 220.0, 170.0
# A wide character of 12 pixels: which font a reader has is not known.
CHAR = 7.6
MAX_LABEL = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One setting's estimates by turn, the first of turn 0; None where no conversation came."""

    name: str
    points: tuple[Estimate | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One setting's values, one per conversation, and the estimate of their mean."""

    name: str
    values: tuple[float, ...]
    estimate: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One setting's place between two metrics."""

    name: str
    x: Estimate
    y: Estimate


def ends_of(at: Estimate) -> tuple[float, float]:
    """Return the ends of an interval; the mean twice where a single value has none."""
    low, high = at.ci_low, at.ci_high
    return (at.mean if low is None else low), (at.mean if high is None else high)


def by_turn(curves: Sequence[Curve], y_title: str) -> list[Markup]:
    """Return lines with bands over turns: one plot, or small ones where the lines are many."""
    ends = [end for one in curves for at in one.points if at for end in ends_of(at)]
    num_turns = max((len(one.points) for one in curves), default=0)
    if not ends or not num_turns:
        return []
    turns = [1.0, float(num_turns)]
    if len(curves) <= MAX_CURVES:
        x = axis_over(turns, LEFT, WIDTH - RIGHT, is_whole=True)
        height = HEIGHT + 18 * len(curves)
        y = axis_over(ends, HEIGHT - BOTTOM, TOP, has_zero=True)
        parts = [
            x_axis(x, TOP, HEIGHT - BOTTOM, "turn"), y_axis(y, LEFT, WIDTH - RIGHT, y_title),
            *_bands(curves, x, y), *_curves(curves, x, y),
            *_legend([one.name for one in curves], HEIGHT + 4),
        ]  # fmt: skip
        return [drawing(WIDTH, height, _told_by_turn(curves, y_title), parts)]
    x = axis_over(turns, LEFT, SMALL_WIDTH - RIGHT, is_whole=True, num_ticks=4)
    y = axis_over(ends, SMALL_HEIGHT - BOTTOM, TOP, has_zero=True, num_ticks=3)
    return [_small(curves, index, x, y, y_title) for index in range(len(curves))]


def _small(curves: Sequence[Curve], index: int, x: Axis, y: Axis, y_title: str) -> Markup:
    """One setting's line before those of all others."""
    bottom, right = SMALL_HEIGHT - BOTTOM, SMALL_WIDTH - RIGHT
    parts = [x_axis(x, TOP, bottom, "turn"), y_axis(y, LEFT, right, "")]
    parts.append(tag("text", fit(curves[index].name, 30), class_="title", x=4, y=14))
    for one in curves:
        parts += [curve(0, run, is_quiet=True) for run in _runs(one, x, y)]
    own = [curves[index]]
    parts += [*_bands(own, x, y), *_curves(own, x, y)]
    return drawing(SMALL_WIDTH, SMALL_HEIGHT, _told_by_turn([curves[index]], y_title), parts)


def _runs(one: Curve, x: Axis, y: Axis) -> list[list[tuple[float, float]]]:
    """Return the places of a curve, parted where an estimate is missing."""
    runs: list[list[tuple[float, float]]] = [[]]
    for turn, at in enumerate(one.points, start=1):
        if at is None:
            runs.append([])
        else:
            runs[-1].append((x.at(turn), y.at(at.mean)))
    return [run for run in runs if run]


def _bands(curves: Sequence[Curve], x: Axis, y: Axis) -> list[Markup]:
    parts = []
    for style, one in enumerate(curves):
        points = [(turn, ends_of(at)) for turn, at in enumerate(one.points, start=1) if at]
        lows = [(x.at(turn), y.at(low)) for turn, (low, _) in points]
        highs = [(x.at(turn), y.at(high)) for turn, (_, high) in points]
        if points:
            parts.append(band(style, lows, highs))
    return parts


def _curves(curves: Sequence[Curve], x: Axis, y: Axis) -> list[Markup]:
    parts = []
    for style, one in enumerate(curves):
        for run in _runs(one, x, y):
            parts.append(curve(style, run))
            # Marks that touch would hide the line.
            stride = max(1, len(one.points) // 12)
            parts += [mark(style, *place, 3.2) for place in run[::stride]]
    return parts


def _legend(names: Sequence[str], top: float) -> list[Markup]:
    parts = []
    for style, name in enumerate(names):
        y = top + 18 * style
        parts += [curve(style, [(LEFT, y), (LEFT + 26, y)]), mark(style, LEFT + 13, y, 3.2)]
        parts.append(tag("text", fit(name, 56), x=LEFT + 34, y=y + 4))
    return parts


def _told_by_turn(curves: Sequence[Curve], title: str) -> str:
    told = []
    for one in curves:
        known = [at.mean for at in one.points if at]
        if known:
            told.append(
                f"{one.name}: from {known[0]:.2f} at the first to {known[-1]:.2f} at the last"
            )
    return f"{title} by turn, with 95% bands. " + "; ".join(told) + "."


def spread(rows: Sequence[Spread], x_title: str) -> list[Markup]:
    """Return a dot per conversation, a row per setting, and the mean with its interval."""
    values = [value for row in rows for value in row.values]
    if not values:
        return []
    ends = [end for row in rows if row.estimate for end in ends_of(row.estimate)]
    left, height = _left_of(rows), TOP + ROW * len(rows) + BOTTOM
    x = axis_over([*values, *ends], left, WIDTH - RIGHT)
    parts = [x_axis(x, TOP - 8, height - BOTTOM, x_title)]
    for index, row in enumerate(rows):
        middle = TOP + ROW * (index + 0.5)
        parts.append(_row_label(row.name, left, middle))
        parts += [
            tag("circle", class_=f"dot s{index % 6}", cx=x.at(value), cy=middle - 5 + lift, r=2.6)
            for value, lift in zip(sorted(row.values), _lifts(row.values, x), strict=True)
        ]
        if row.estimate:
            at = row.estimate
            parts += _across(index, at, x, middle + 9)
            parts.append(mark(index, x.at(at.mean), middle + 9, 3.6))
    told = "; ".join(f"{row.name}: {min(row.values):.2f} to {max(row.values):.2f}"
                     for row in rows if row.values)  # fmt: skip
    return [drawing(WIDTH, height, f"{x_title} of each conversation. {told}.", parts)]


def bars(rows: Sequence[tuple[str, Estimate]], x_title: str, *, top: float | None) -> list[Markup]:
    """Return a bar with its interval per setting; `top` is the largest value there can be."""
    if not rows:
        return []
    left = _left_of([Spread(name=name, values=(), estimate=None) for name, _ in rows])
    height = TOP + ROW * len(rows) + BOTTOM
    highs = [top] if top is not None else [ends_of(at)[1] for _, at in rows]
    x = axis_over(highs, left, WIDTH - RIGHT - 30, has_zero=True)
    parts = [x_axis(x, TOP - 8, height - BOTTOM, x_title)]
    for index, (name, at) in enumerate(rows):
        middle = TOP + ROW * (index + 0.5)
        parts.append(_row_label(name, left, middle))
        width = x.at(at.mean) - left
        parts.append(
            tag("rect", class_=f"bar s{index % 6}", x=left, y=middle - 7, width=width, height=14)
        )
        parts += _across(index, at, x, middle)
        parts.append(tag("text", f"{at.mean:.2f}", x=WIDTH - 4, y=middle + 4, text_anchor="end"))
    told = "; ".join(f"{name}: {at.mean:.2f}" for name, at in rows)
    return [drawing(WIDTH, height, f"{x_title}. {told}.", parts)]


def scatter(places: Sequence[Place], x_title: str, y_title: str) -> list[Markup]:
    """Return a mark per setting between two metrics, with the intervals of both."""
    if not places:
        return []
    x = axis_over([end for one in places for end in ends_of(one.x)],
                  LEFT, WIDTH - RIGHT)  # fmt: skip
    y = axis_over([end for one in places for end in ends_of(one.y)],
                  HEIGHT - BOTTOM, TOP)  # fmt: skip
    parts = [x_axis(x, TOP, HEIGHT - BOTTOM, x_title), y_axis(y, LEFT, WIDTH - RIGHT, y_title)]
    for style, one in enumerate(places):
        cx, cy = x.at(one.x.mean), y.at(one.y.mean)
        low, high = ends_of(one.y)
        parts += _across(style, one.x, x, cy)
        parts.append(whisker(style, cx, y.at(low), cx, y.at(high)))
        parts.append(mark(style, cx, cy, 5))
    names = [one.name for one in places]
    height = HEIGHT + 18 * len(names)
    told = "; ".join(f"{one.name}: {one.x.mean:.2f} and {one.y.mean:.2f}" for one in places)
    parts += _keys(names, HEIGHT + 4)
    return [drawing(WIDTH, height, f"{x_title} and {y_title} by setting. {told}.", parts)]


def _across(style: int, at: Estimate, x: Axis, y: float) -> list[Markup]:
    if at.ci_low is None or at.ci_high is None:
        return []
    return [whisker(style, x.at(at.ci_low), y, x.at(at.ci_high), y)]


def _keys(names: Sequence[str], top: float) -> list[Markup]:
    parts = []
    for style, name in enumerate(names):
        y = top + 18 * style
        parts += [mark(style, LEFT + 13, y, 4), tag("text", fit(name, 56), x=LEFT + 34, y=y + 4)]
    return parts


def _left_of(rows: Sequence[Spread]) -> float:
    longest = max((len(fit(row.name, MAX_LABEL)) for row in rows), default=0)
    return 14 + CHAR * longest


def _row_label(name: str, left: float, middle: float) -> Markup:
    return tag("text", fit(name, MAX_LABEL), x=left - 8, y=middle + 4, text_anchor="end")


def _lifts(values: Sequence[float], x: Axis) -> list[float]:
    """Return how far each dot, from the left, is moved up so that it stays visible."""
    lifts: list[float] = []
    last, level = float("-inf"), 0
    for value in sorted(values):
        place = x.at(value)
        level = (level + 1) % 3 if place - last < 5 else 0
        last = place
        lifts.append(-4.0 * level + 3)
    return lifts
