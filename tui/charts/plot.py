"""The chart rasteriser: columns of extremes to dots to characters. Pure numpy, no terminal.

A character cell holds 2 by 4 dots. Each column of dots shows the smallest and the largest value
that falls into it, so a spike of one step is always visible, however long the curve is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tui.charts.envelope import (
    BoolArray,
    Envelope,
    IntArray,
    Points,
    Span,
    bridge,
    dot_column,
    envelope,
)
from tui.charts.series import Blocks, FloatArray, Series
from tui.charts.warp import Warp
from tui.shell.glyphs import Glyphs

DOTS_X = 2
DOTS_Y = 4
_BRAILLE_BLANK = 0x2800
_DOT_WEIGHTS = np.array([[1, 8], [2, 16], [4, 32], [64, 128]], dtype=np.int64)
NO_RUN = -1
# Letters stand this far apart on a curve, those of several curves beside each other.
_LETTER_COLUMNS = 18


class Role(IntEnum):
    """What a cell shows, in drawing order: a later role hides an earlier one."""

    EMPTY = 0
    GHOST = 1
    RAW = 2
    LINE = 3
    POINT = 4
    NOT_A_NUMBER = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One curve of a chart.

    has_points: every point is marked where there is room for it.
    run: which of several overlaid runs it is of; it has a colour of its own, and `letter` on it.
    is_hidden: only its values that are not numbers are marked.
    warp: bends the x axis; blocks: spare reading every point of a long curve.
    """

    x: FloatArray
    y: FloatArray
    role: Role
    has_points: bool = False
    run: int = NO_RUN
    letter: str = ""
    is_hidden: bool = False
    warp: Warp | None = None
    blocks: Blocks | None = None
    is_sorted: bool | None = None

    @property
    def points(self) -> Points:
        """The curve without what it looks like."""
        return Points(
            x=self.x, y=self.y, warp=self.warp, blocks=self.blocks, is_sorted=self.is_sorted
        )


def series_layer(
    series: Series,
    role: Role,
    *,
    warp: Warp | None = None,
    has_points: bool = False,
    run: int = NO_RUN,
    letter: str = "",
    is_hidden: bool = False,
) -> Layer:
    """Return the layer of a growing curve, which is read by its blocks."""
    return Layer(
        x=series.x,
        y=series.y,
        role=role,
        has_points=has_points,
        run=run,
        letter=letter,
        is_hidden=is_hidden,
        warp=warp,
        blocks=series.blocks,
        is_sorted=series.is_sorted,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of the data that a plot shows; y is a power of ten on a log scale."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float

    @property
    def span(self) -> Span:
        """Its range of the x axis."""
        return Span(start=self.x_min, end=self.x_max)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvas:
    """Code points, roles and overlaid runs of a plot's cells; each array is (rows, columns)."""

    codes: IntArray
    roles: IntArray
    runs: IntArray

    @property
    def characters(self) -> NDArray[np.str_]:
        """The cells as one-character strings."""
        characters: NDArray[np.str_] = self.codes.astype(np.uint32).view("<U1")
        return characters


def span_of(layers: Sequence[Layer]) -> Span | None:
    """Return the range of the x axis that holds every point, or None when there is none."""
    ends: list[float] = []
    for layer in layers:
        points = layer.points
        x = points.x if points.grows else points.x[np.isfinite(points.x)]
        if len(x):
            outer = x[[0, -1]] if points.grows else np.array([x.min(), x.max()])
            ends += [end for end in points.on_axis(outer).tolist() if np.isfinite(end)]
    return Span(start=min(ends), end=max(ends)) if ends else None


def envelopes(
    layers: Sequence[Layer], span: Span, *, columns: int, is_log: bool = False
) -> list[Envelope]:
    """Return what each layer is reduced to in a plot of `columns` cells."""
    found = [envelope(layer.points, span=span, width=columns * DOTS_X) for layer in layers]
    return [one.log10() for one in found] if is_log else found


def window_over(layers: Sequence[Layer], found: Sequence[Envelope], span: Span) -> Window | None:
    """Return the window that holds every finite value in the span, None when there is none."""
    shown = [one for layer, one in zip(layers, found, strict=True) if not layer.is_hidden]
    lows = np.concatenate([np.empty(0), *(one.low[~np.isnan(one.low)] for one in shown)])
    highs = np.concatenate([np.empty(0), *(one.high[~np.isnan(one.high)] for one in shown)])
    if not len(lows) or not len(highs):
        return None
    y_min, y_max = float(lows.min()), float(highs.max())
    if y_max - y_min <= 1e-9 * max(abs(y_min), abs(y_max)):
        margin = abs(y_min) * 0.05 or 1.0
        y_min = max(y_min - margin, -sys.float_info.max)
        y_max = min(y_max + margin, sys.float_info.max)
    return Window(x_min=span.start, x_max=span.end, y_min=y_min, y_max=y_max)


def window_of(layers: Sequence[Layer]) -> Window | None:
    """Return the window that holds every finite point, or None when there is none."""
    span = span_of(layers)
    return None if span is None else window_over(layers, envelopes(layers, span, columns=1), span)


def dot_row(y: FloatArray, *, window: Window, height: int) -> IntArray:
    """Return the dot row of each finite y, 0 at the top."""
    # Halves keep the difference of two very large values finite.
    span = window.y_max / 2 - window.y_min / 2
    share: FloatArray = (window.y_max / 2 - y / 2) / span if span > 0 else np.zeros(len(y))
    row: IntArray = np.clip(np.rint(share * (height - 1)), 0, height - 1).astype(np.int64)
    return row


def dots(found: Envelope, *, window: Window, height: int) -> BoolArray:
    """Return the dots of one curve, shape (height, width)."""
    joined = bridge(found)
    low, high = joined.low, joined.high
    is_drawn = ~np.isnan(low)
    top = dot_row(np.where(is_drawn, high, 0.0), window=window, height=height)
    bottom = dot_row(np.where(is_drawn, low, 0.0), window=window, height=height)
    joined_top, joined_bottom = top.copy(), bottom.copy()
    # Neighbours whose spans do not touch are joined by stretching the later one.
    is_pair = is_drawn[1:] & is_drawn[:-1]
    falls = is_pair & (top[1:] > bottom[:-1] + 1)
    rises = is_pair & (bottom[1:] < top[:-1] - 1)
    joined_top[1:][falls] = bottom[:-1][falls] + 1
    joined_bottom[1:][rises] = top[:-1][rises] - 1
    rows = np.arange(height)[:, None]
    drawn: BoolArray = (rows >= joined_top) & (rows <= joined_bottom) & is_drawn
    return drawn


def braille_cells(bits: BoolArray) -> IntArray:
    """Return the code point of each cell of a (4 * rows, 2 * columns) dot array."""
    cells = np.full((bits.shape[0] // DOTS_Y, bits.shape[1] // DOTS_X), _BRAILLE_BLANK)
    for y in range(DOTS_Y):
        for x in range(DOTS_X):
            cells += bits[y::DOTS_Y, x::DOTS_X] * _DOT_WEIGHTS[y, x]
    return cells


def ascii_cells(bits: BoolArray) -> IntArray:
    """Return the code point of each cell, from which halves of it hold a dot."""
    height, width = bits.shape
    cells = bits.reshape(height // DOTS_Y, DOTS_Y, width // DOTS_X, DOTS_X)
    upper = cells[:, :2].any(axis=(1, 3)).astype(np.int64)
    lower = cells[:, 2:].any(axis=(1, 3)).astype(np.int64)
    shapes: IntArray = np.array([ord(char) for char in " '.:"], dtype=np.int64)
    codes: IntArray = shapes[upper + 2 * lower]
    return codes


def draw(
    layers: Sequence[Layer],
    window: Window,
    *,
    columns: int,
    rows: int,
    glyphs: Glyphs,
    found: Sequence[Envelope] | None = None,
) -> Canvas:
    """Return the plot of all layers, each on top of those with a lower role.

    found: their envelopes, where they are known already.
    """
    if found is None:
        found = envelopes(layers, window.span, columns=columns)
    codes = np.full((rows, columns), ord(" "), dtype=np.int64)
    canvas = Canvas(
        codes=codes, roles=np.full_like(codes, int(Role.EMPTY)), runs=np.full_like(codes, NO_RUN)
    )
    pairs = sorted(zip(layers, found, strict=True), key=lambda pair: pair[0].role)
    for layer, one in pairs:
        if not layer.is_hidden:
            _draw_curve(canvas, layer, one, window, glyphs)
    for layer, one in pairs:
        if layer.letter:
            _put_letters(canvas, layer, one, window, num_runs=max(p[0].run for p in pairs) + 1)
    for layer, one in pairs:
        if layer.has_points:
            _mark_points(canvas, layer, window, ord(glyphs.point))
        if layer.role is not Role.GHOST:
            hit = np.flatnonzero(one.is_bad.reshape(columns, DOTS_X).any(axis=1))
            canvas.codes[-1, hit] = ord(glyphs.not_a_number)
            canvas.roles[-1, hit] = int(Role.NOT_A_NUMBER)
    return canvas


def _draw_curve(
    canvas: Canvas, layer: Layer, found: Envelope, window: Window, glyphs: Glyphs
) -> None:
    bits = dots(found, window=window, height=len(canvas.codes) * DOTS_Y)
    cells = ascii_cells(bits) if glyphs.is_ascii else braille_cells(bits)
    is_hit = cells != (ord(" ") if glyphs.is_ascii else _BRAILLE_BLANK)
    if not glyphs.is_ascii and layer.run != NO_RUN:
        # Where curves of several runs cross, the cell keeps the dots of both.
        is_shared = is_hit & (canvas.roles == int(layer.role))
        cells[is_shared] |= canvas.codes[is_shared]
    canvas.codes[is_hit] = cells[is_hit]
    canvas.roles[is_hit] = int(layer.role)
    canvas.runs[is_hit] = layer.run


def _put_letters(
    canvas: Canvas, layer: Layer, found: Envelope, window: Window, *, num_runs: int
) -> None:
    """Write the letter of a run onto its curve here and there, so that no colour is needed."""
    rows, columns = canvas.codes.shape
    joined = bridge(found)
    middle = joined.low / 2 + joined.high / 2
    apart = max(_LETTER_COLUMNS, 3 * num_runs)
    offset = 2 + 3 * max(layer.run, 0)
    at = np.arange(min(offset, max(columns - 1, 0)), columns, apart)
    at = at[~np.isnan(middle[at * DOTS_X])]
    row = dot_row(middle[at * DOTS_X], window=window, height=rows * DOTS_Y) // DOTS_Y
    canvas.codes[row, at] = ord(layer.letter)
    canvas.roles[row, at] = int(Role.POINT)
    canvas.runs[row, at] = layer.run


def _mark_points(canvas: Canvas, layer: Layer, window: Window, code: int) -> None:
    rows, columns = canvas.codes.shape
    points, span = layer.points, window.span
    if len(points.x) * 3 > columns and span.length > 0:
        start, end = points.native(np.array([span.start, span.end]))
        is_inside = (points.x >= start) & (points.x <= end)
        if is_inside.sum() * 3 > columns:
            return
    x = points.on_axis(points.x)
    is_shown = np.isfinite(x) & np.isfinite(layer.y) & (x >= span.start) & (x <= span.end)
    y = layer.y[is_shown]
    at = (
        dot_row(y, window=window, height=rows * DOTS_Y) // DOTS_Y,
        dot_column(x[is_shown], span=span, width=columns * DOTS_X) // DOTS_X,
    )
    if layer.run == NO_RUN:
        canvas.codes[at] = code
        canvas.roles[at] = int(Role.POINT)
