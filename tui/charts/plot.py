"""The chart rasteriser: points to dots to characters. Pure numpy, no terminal.

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

from tui.charts.series import FloatArray
from tui.shell.glyphs import Glyphs

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

DOTS_X = 2
DOTS_Y = 4
_BRAILLE_BLANK = 0x2800
_DOT_WEIGHTS = np.array([[1, 8], [2, 16], [4, 32], [64, 128]], dtype=np.int64)


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
    """One curve of a chart. `has_points` marks every point where there is room for it."""

    x: FloatArray
    y: FloatArray
    role: Role
    has_points: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of the data that a plot shows."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvas:
    """Characters and roles of a plot; both arrays are (rows, columns)."""

    characters: NDArray[np.str_]
    roles: IntArray


def log_layer(layer: Layer) -> Layer:
    """Return the layer on a log10 scale; values that have no logarithm become NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.where(layer.y > 0, np.log10(layer.y), np.nan)
    return Layer(x=layer.x, y=logs, role=layer.role, has_points=layer.has_points)


def window_of(layers: Sequence[Layer]) -> Window | None:
    """Return the window that holds every finite point, or None when there is none."""
    xs = [layer.x[np.isfinite(layer.x)] for layer in layers]
    ys = [layer.y[np.isfinite(layer.x) & np.isfinite(layer.y)] for layer in layers]
    x, y = np.concatenate([*xs, np.empty(0)]), np.concatenate([*ys, np.empty(0)])
    if not len(x) or not len(y):
        return None
    y_min, y_max = float(y.min()), float(y.max())
    if y_max - y_min <= 1e-9 * max(abs(y_min), abs(y_max)):
        margin = abs(y_min) * 0.05 or 1.0
        y_min = max(y_min - margin, -sys.float_info.max)
        y_max = min(y_max + margin, sys.float_info.max)
    x_min, x_max = float(x.min()), float(x.max())
    return Window(x_min=x_min, x_max=x_max, y_min=y_min, y_max=y_max)


def envelope(
    x: FloatArray, y: FloatArray, *, window: Window, width: int
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Return the smallest and largest y of each dot column, and where non-finite y fall.

    A column without a finite point holds NaN in both.
    """
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    is_bad = np.zeros(width, dtype=np.bool_)
    is_placed = np.isfinite(x)
    x, y = x[is_placed], y[is_placed]
    column = dot_column(x, window=window, width=width)
    is_finite = np.isfinite(y)
    np.minimum.at(low, column[is_finite], y[is_finite])
    np.maximum.at(high, column[is_finite], y[is_finite])
    is_bad[column[~is_finite]] = True
    is_empty = low > high
    low[is_empty] = high[is_empty] = np.nan
    return low, high, is_bad


def dot_column(x: FloatArray, *, window: Window, width: int) -> IntArray:
    """Return the dot column of each x."""
    span = window.x_max - window.x_min
    if not span > 0:
        return np.full(len(x), width - 1, dtype=np.int64)
    share = (x - window.x_min) / span
    column: IntArray = np.clip(np.rint(share * (width - 1)), 0, width - 1).astype(np.int64)
    return column


def dot_row(y: FloatArray, *, window: Window, height: int) -> IntArray:
    """Return the dot row of each finite y, 0 at the top."""
    # Halves keep the difference of two very large values finite.
    span = window.y_max / 2 - window.y_min / 2
    share: FloatArray = (window.y_max / 2 - y / 2) / span if span > 0 else np.zeros(len(y))
    row: IntArray = np.clip(np.rint(share * (height - 1)), 0, height - 1).astype(np.int64)
    return row


def bridge(low: FloatArray, high: FloatArray, is_bad: BoolArray) -> None:
    """Fill, in place, the empty columns between two points with the line that joins them.

    A gap with a non-finite value in it stays a gap.
    """
    filled = np.flatnonzero(~np.isnan(low))
    if len(filled) < 2:
        return
    columns = np.arange(len(low))
    following = np.searchsorted(filled, columns)
    is_between = np.isnan(low) & (following > 0) & (following < len(filled))
    left = filled[np.clip(following - 1, 0, None)]
    right = filled[np.clip(following, None, len(filled) - 1)]
    num_bad = np.concatenate([[0], np.cumsum(is_bad)])
    is_between &= num_bad[right] == num_bad[left + 1]
    middle = low[filled] / 2 + high[filled] / 2
    line = np.interp(columns, filled, middle)
    low[is_between] = high[is_between] = line[is_between]


def dots(layer: Layer, *, window: Window, width: int, height: int) -> BoolArray:
    """Return the dots of one layer, shape (height, width)."""
    low, high, is_bad = envelope(layer.x, layer.y, window=window, width=width)
    bridge(low, high, is_bad)
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
    height, width = bits.shape
    cells = bits.reshape(height // DOTS_Y, DOTS_Y, width // DOTS_X, DOTS_X)
    weights: IntArray = np.einsum("rycx,yx->rc", cells.astype(np.int64), _DOT_WEIGHTS)
    return weights + _BRAILLE_BLANK


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
    layers: Sequence[Layer], window: Window, *, columns: int, rows: int, glyphs: Glyphs
) -> Canvas:
    """Return the plot of all layers, each on top of those with a lower role."""
    blank = ord(" ")
    codes = np.full((rows, columns), blank, dtype=np.int64)
    roles = np.full((rows, columns), int(Role.EMPTY), dtype=np.int64)
    width, height = columns * DOTS_X, rows * DOTS_Y
    to_cells = ascii_cells if glyphs.is_ascii else braille_cells
    for layer in sorted(layers, key=lambda layer: layer.role):
        bits = dots(layer, window=window, width=width, height=height)
        is_hit = bits.reshape(rows, DOTS_Y, columns, DOTS_X).any(axis=(1, 3))
        codes[is_hit] = to_cells(bits)[is_hit]
        roles[is_hit] = int(layer.role)
    for layer in layers:
        if layer.has_points and len(layer.x) * 3 <= columns:
            _mark_points(layer, window, codes, roles, ord(glyphs.point))
    for layer in layers:
        _, _, is_bad = envelope(layer.x, layer.y, window=window, width=width)
        hit = np.flatnonzero(is_bad.reshape(columns, DOTS_X).any(axis=1))
        if layer.role is not Role.GHOST:
            codes[-1, hit] = ord(glyphs.not_a_number)
            roles[-1, hit] = int(Role.NOT_A_NUMBER)
    return Canvas(characters=_characters(codes), roles=roles)


def _mark_points(layer: Layer, window: Window, codes: IntArray, roles: IntArray, code: int) -> None:
    is_finite = np.isfinite(layer.x) & np.isfinite(layer.y)
    x, y = layer.x[is_finite], layer.y[is_finite]
    rows, columns = codes.shape
    at = (
        dot_row(y, window=window, height=rows * DOTS_Y) // DOTS_Y,
        dot_column(x, window=window, width=columns * DOTS_X) // DOTS_X,
    )
    codes[at] = code
    roles[at] = int(Role.POINT)


def _characters(codes: IntArray) -> NDArray[np.str_]:
    """Return code points as one-character strings."""
    characters: NDArray[np.str_] = codes.astype(np.uint32).view("<U1")
    return characters
