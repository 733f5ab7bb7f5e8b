"""Measures over the turns of a self-chat, a curve with its 95 % band per setting. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from core.experiments.measures.summary import trends_of
from core.experiments.report.figures import metric_title, short_names_of
from core.experiments.selfchat.transcript import Conversation, Experiment
from runs.statistics import Estimate, share_interval
from tui.charts.envelope import BoolArray, IntArray, dot_column, envelope
from tui.charts.plot import (
    DOTS_X,
    DOTS_Y,
    Layer,
    Role,
    Window,
    ascii_cells,
    braille_cells,
    dot_row,
    dots,
    window_of,
)
from tui.charts.series import FloatArray
from tui.selfchat.lists import telling_names
from tui.shell.glyphs import Glyphs

METRICS = ("entropy_bits", "distinct_2", "similarity_to_previous")
STILL_TALKING = "still talking (share)"
MAX_NAME = 30
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NOTHING, BAND, LINE, POINT = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnCurve:
    """One setting; points: turns, counted from 1, with the estimate over its conversations."""

    letter: str
    name: str
    setting: int
    points: tuple[tuple[int, Estimate], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPlot:
    """One measure of all settings."""

    title: str
    curves: tuple[TurnCurve, ...]


@dataclass(slots=True, kw_only=True, eq=False)
class TurnCanvas:
    """What is drawn; all arrays are (rows, columns).

    kinds: NOTHING, BAND, LINE or POINT. owners: the place of the curve that a cell belongs to.
    ends: the row at which each curve ends, where it has a point.
    """

    codes: IntArray
    kinds: IntArray
    owners: IntArray
    ends: list[int | None] = field(default_factory=list)


def plots_of(
    experiment: Experiment, *, should_stop: Callable[[], bool] = lambda: False
) -> tuple[TurnPlot, ...]:
    """Return entropy, variety, likeness and endings over turns, of what has been said so far."""
    names = telling_names(short_names_of(experiment.settings, MAX_NAME))
    curves: dict[str, list[TurnCurve]] = {metric: [] for metric in (*METRICS, STILL_TALKING)}
    for place, setting in enumerate(experiment.settings):
        if should_stop():
            return ()
        talks = [one for one in experiment.of_setting(setting.index) if one.turns]
        found = {
            one.metric: one.points
            for one in trends_of(setting.index, names[setting.index], talks, METRICS)
        }
        found[STILL_TALKING] = tuple(_still_talking(talks))
        for metric, points in found.items():
            curves[metric].append(
                TurnCurve(
                    letter=LETTERS[place % len(LETTERS)],
                    name=names[setting.index],
                    setting=setting.index,
                    points=tuple((index + 1, estimate) for index, estimate in points),
                )
            )
    return tuple(
        TurnPlot(title=metric_title(metric), curves=tuple(found))
        for metric, found in curves.items()
        if any(one.points for one in found)
    )


def _still_talking(talks: Sequence[Conversation]) -> list[tuple[int, Estimate]]:
    """Return which share of the conversations has each turn; those that go on count as far."""
    most = max((len(one.turns) for one in talks), default=0)
    points = []
    for index in range(most):
        known = [one for one in talks if one.end is not None or len(one.turns) > index]
        if known:
            there = sum(len(one.turns) > index for one in known)
            points.append((index, share_interval(there, len(known))))
    return points


def window(plot: TurnPlot) -> Window | None:
    """Return what holds every curve with its band, None where there is none."""
    layers = [layer for curve in plot.curves for layer in (_line(curve), _edges(curve))]
    return window_of(layers) if layers else None


def draw_curves(
    plot: TurnPlot, view: Window, *, columns: int, rows: int, glyphs: Glyphs
) -> TurnCanvas:
    """Return all bands, over them the lines, over those the points."""
    canvas = TurnCanvas(
        codes=np.full((rows, columns), ord(" "), dtype=np.int64),
        kinds=np.zeros((rows, columns), dtype=np.int64),
        owners=np.zeros((rows, columns), dtype=np.int64),
    )
    width, height = columns * DOTS_X, rows * DOTS_Y
    y, x = np.indices((height, width))
    stipple = (x + 2 * y) % 6 == 0
    for place, curve in enumerate(plot.curves):
        band = envelope(_band(curve, width).points, span=view.span, width=width)
        bits = dots(band, window=view, height=height)
        _put(bits & stipple, BAND, place, canvas, glyphs)
    for place, curve in enumerate(plot.curves):
        line = envelope(_line(curve).points, span=view.span, width=width)
        bits = dots(line, window=view, height=height)
        _put(bits, LINE, place, canvas, glyphs)
    for place, curve in enumerate(plot.curves):
        canvas.ends.append(_points(curve, place, view, canvas, glyphs))
    return canvas


def _put(bits: BoolArray, kind: int, owner: int, canvas: TurnCanvas, glyphs: Glyphs) -> None:
    rows, columns = canvas.codes.shape
    is_hit = bits.reshape(rows, DOTS_Y, columns, DOTS_X).any(axis=(1, 3))
    if not glyphs.is_ascii:
        canvas.codes[is_hit] = braille_cells(bits)[is_hit]
    else:
        canvas.codes[is_hit] = ord(".") if kind == BAND else ascii_cells(bits)[is_hit]
    canvas.kinds[is_hit] = kind
    canvas.owners[is_hit] = owner


def _points(
    curve: TurnCurve, owner: int, view: Window, canvas: TurnCanvas, glyphs: Glyphs
) -> int | None:
    layer = _line(curve)
    if not len(layer.x):
        return None
    rows, columns = canvas.codes.shape
    row = dot_row(layer.y, window=view, height=rows * DOTS_Y) // DOTS_Y
    column = dot_column(layer.x, span=view.span, width=columns * DOTS_X) // DOTS_X
    canvas.codes[row, column] = ord(glyphs.point)
    canvas.kinds[row, column] = POINT
    canvas.owners[row, column] = owner
    return int(row[-1])


def end_rows(canvas: TurnCanvas) -> dict[int, int]:
    """Return a row of its own for the letter of each curve, as near as possible to its end."""
    rows = canvas.codes.shape[0]
    taken: dict[int, int] = {}
    ends = [(end, place) for place, end in enumerate(canvas.ends) if end is not None]
    for end, place in sorted(ends):
        free = [row for row in range(rows) if row not in taken]
        if free:
            taken[min(free, key=lambda row: (abs(row - end), row))] = place
    return taken


def _line(curve: TurnCurve) -> Layer:
    return Layer(
        x=np.array([float(turn) for turn, _ in curve.points]),
        y=np.array([estimate.mean for _, estimate in curve.points]),
        role=Role.LINE,
    )


def _edges(curve: TurnCurve) -> Layer:
    both = [(turn, value) for turn, one in curve.points for value in (one.ci_low, one.ci_high)]
    known = [(turn, value) for turn, value in both if value is not None]
    return Layer(
        x=np.array([float(turn) for turn, _ in known]),
        y=np.array([value for _, value in known]),
        role=Role.RAW,
    )


def _band(curve: TurnCurve, width: int) -> Layer:
    """Return both edges of the interval at so many x that every column of dots has them."""
    known = [
        (float(turn), one.ci_low, one.ci_high)
        for turn, one in curve.points
        if one.ci_low is not None and one.ci_high is not None
    ]
    xs: list[FloatArray] = []
    ys: list[FloatArray] = []
    for (left, low, high), (right, next_low, next_high) in pairwise(known):
        share = np.linspace(0.0, 1.0, max(width, 2))
        x = left + share * (right - left)
        xs += [x, x]
        ys += [low + share * (next_low - low), high + share * (next_high - high)]
    if len(known) == 1:
        xs, ys = [np.array([known[0][0]] * 2)], [np.array(known[0][1:])]
    empty = [np.empty(0)]
    return Layer(x=np.concatenate(xs or empty), y=np.concatenate(ys or empty), role=Role.RAW)
