"""One chart as lines of styled text: title, legend, rows with labels, x axis. Pure.

A line is a tuple of (text, style name), so that a widget can tell which lines have changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tui.charts.axes import Tick, linear_ticks, log_ticks
from tui.charts.data import (
    NUM_RUN_TONES,
    ChartData,
    place_text,
    value_at,
    value_text,
)
from tui.charts.envelope import Envelope, Span, dot_column
from tui.charts.names import AXIS_LABELS
from tui.charts.plot import (
    DOTS_X,
    NO_RUN,
    Canvas,
    Role,
    Window,
    draw,
    envelopes,
    span_of,
    window_over,
)
from tui.charts.zoom import Zoom, shown_span
from tui.shell.glyphs import Glyphs

Pieces = tuple[tuple[str, str], ...]

_ROLE_STYLES = {
    Role.EMPTY: "chart--axis",
    Role.GHOST: "chart--ghost",
    Role.RAW: "chart--raw",
    Role.LINE: "chart--line",
    Role.POINT: "chart--point",
    Role.NOT_A_NUMBER: "chart--nan",
}
STYLES = (
    "chart--title",
    "chart--latest",
    "chart--warning",
    "chart--hint",
    "chart--crosshair",
    *_ROLE_STYLES.values(),
    *(f"chart--run-{place}" for place in range(NUM_RUN_TONES)),
)
_CROSSHAIR = int(Role.NOT_A_NUMBER) + 1
_RUN_STEP = 16
_MIN_COLUMNS = 8
_GUTTER = 6
_MIN_ROWS = 2
_LEGEND_ROWS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartState:
    """How a chart is looked at."""

    is_log: bool = False
    zoom: Zoom | None = None
    crosshair: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The lines of a chart, and where its plot lies in them; without a span nothing is plotted."""

    lines: tuple[Pieces, ...]
    full: Span | None = None
    span: Span | None = None
    left: int = 0
    columns: int = 0

    def place_at(self, x: int) -> float | None:
        """Return the place of the axis under a column of the chart's text."""
        if self.span is None or not self.left <= x < self.left + self.columns:
            return None
        share = ((x - self.left) * DOTS_X + 0.5) / max(self.columns * DOTS_X - 1, 1)
        return self.span.start + share * self.span.length


def lay_out(
    data: ChartData,
    state: ChartState,
    *,
    width: int,
    height: int,
    glyphs: Glyphs,
    likely_columns: int = 0,
) -> Sheet:
    """Return a chart in a box of characters.

    likely_columns: how many columns its labels left the last time; only speed depends on it.
    """
    head = [_title(data, state, width, glyphs)]
    if data.legend and height >= _LEGEND_ROWS + _MIN_ROWS:
        head.append(_legend(data, state, width))
    full = data.span or span_of(data.layers)
    rows = height - len(head) - 1
    if full is None or rows < _MIN_ROWS or width < _MIN_COLUMNS:
        return Sheet(lines=(*head, *_blank(width, height - len(head))))
    span = shown_span(state.zoom, full)
    plot = _plot(data, state, span, width=width, rows=rows, likely_columns=likely_columns)
    if plot is None:
        return Sheet(lines=(*head, *_blank(width, height - len(head))))
    columns, gutter, ticks = plot.columns, width - plot.columns, plot.ticks
    canvas = draw(
        data.layers, plot.window, columns=columns, rows=rows, glyphs=glyphs, found=plot.found
    )
    labels = {round((1 - tick.share) * (rows - 1)): tick.label for tick in ticks}
    plotted = _rows(canvas, labels, gutter, _cross_column(state, span, columns), glyphs)
    foot = _foot(data, state, span, full, width, gutter)
    return Sheet(lines=(*head, *plotted, foot), full=full, span=span, left=gutter, columns=columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plot:
    """What fits into a chart: columns beside the labels, and the curves reduced to them."""

    columns: int
    found: list[Envelope]
    window: Window
    ticks: list[Tick]

    def fitting(self, width: int) -> int:
        """Return how many columns its labels leave of a width."""
        return width - max((len(tick.label) for tick in self.ticks), default=0) - 1


def _plot(
    data: ChartData,
    state: ChartState,
    span: Span,
    *,
    width: int,
    rows: int,
    likely_columns: int,
) -> _Plot | None:
    if _MIN_COLUMNS <= likely_columns < width - _GUTTER:
        guess = _reduced(data, state, span, columns=likely_columns, rows=rows)
        if guess is None or guess.fitting(width) == likely_columns:
            return guess
    # The same room for labels in every chart, so that charts below each other line up; only
    # longer labels take more, which means to reduce the curves once again.
    columns = width - _GUTTER
    plot: _Plot | None = None
    while columns >= _MIN_COLUMNS:
        # The second time over, the labels must fit what the first one left them.
        ticks = plot.ticks if plot else None
        plot = _reduced(data, state, span, columns=columns, rows=rows, ticks=ticks)
        if plot is None or plot.fitting(width) >= columns:
            return plot
        columns = plot.fitting(width)
    return None


def _reduced(
    data: ChartData,
    state: ChartState,
    span: Span,
    *,
    columns: int,
    rows: int,
    ticks: list[Tick] | None = None,
) -> _Plot | None:
    found = envelopes(data.layers, span, columns=columns, is_log=state.is_log)
    window = window_over(data.layers, found, span)
    if window is None:
        return None
    if ticks is None:
        ticks = _ticks(data, window, rows, is_log=state.is_log)
    return _Plot(columns=columns, found=found, window=window, ticks=ticks)


def _ticks(data: ChartData, window: Window, rows: int, *, is_log: bool) -> list[Tick]:
    wanted = max(2, rows // 3)
    is_percent = data.unit == "percent"
    make = log_ticks if is_log else linear_ticks
    return make(window.y_min, window.y_max, wanted, is_percent=is_percent)


def _title(data: ChartData, state: ChartState, width: int, glyphs: Glyphs) -> Pieces:
    latest, style = data.latest, "chart--latest"
    if state.crosshair is not None and not data.legend:
        layer = data.probe()
        value = None if layer is None else value_at(layer, state.crosshair)
        latest = value_text(value, data.unit) or glyphs.absent
        at = f" at {place_text(state.crosshair, data.axis)}"
        if len(data.title) + 2 + len(latest) + len(at) <= width:
            latest += at
        style = "chart--crosshair"
    pieces = [(data.title, "chart--title"), ("  " + latest, style)]
    if data.legend and state.crosshair is not None:
        pieces[1] = (f"  at {place_text(state.crosshair, data.axis)}", "chart--crosshair")
    room = width - sum(len(text) for text, _ in pieces)
    shown: list[tuple[str, str]] = []
    marks = (
        (data.warning, "chart--warning"),
        ("log" if state.is_log else "", "chart--hint"),
        (data.hint, "chart--hint"),
    )
    for text, name in marks:
        if text and len(text) + 2 <= room:
            room -= len(text) + 2
            shown += [("  ", ""), (text, name)]
    return _fitted([*pieces, (" " * max(room, 0), ""), *shown], width)


def _legend(data: ChartData, state: ChartState, width: int) -> Pieces:
    """Return letter, name and value of every run; names give way where there is no room."""
    values = []
    for entry in data.legend:
        layer = data.probe(entry.run)
        if layer is None or not len(layer.y):
            values.append("")
        elif state.crosshair is None:
            values.append(value_text(float(layer.y[-1]), data.unit))
        else:
            values.append(value_text(value_at(layer, state.crosshair), data.unit))
    room = width // max(len(values), 1) - 4 - max(map(len, values), default=0)
    pieces: list[tuple[str, str]] = []
    for entry, value in zip(data.legend, values, strict=True):
        name = f" {entry.name[:room]}" if room >= 3 else ""
        pieces += [
            (entry.letter + name, run_style(entry.run)),
            (f" {value}  ", "chart--latest"),
        ]
    return _fitted(pieces, width)


def run_style(run: int) -> str:
    """Return the style of one of several overlaid runs; colours come round again."""
    return f"chart--run-{run % NUM_RUN_TONES}"


def _cross_column(state: ChartState, span: Span, columns: int) -> int | None:
    if state.crosshair is None or not span.start <= state.crosshair <= span.end:
        return None
    at = dot_column(np.array([state.crosshair]), span=span, width=columns * DOTS_X)
    return int(at[0]) // DOTS_X


def _rows(
    canvas: Canvas, labels: dict[int, str], gutter: int, cross: int | None, glyphs: Glyphs
) -> list[Pieces]:
    codes = canvas.codes.astype("<u4")
    styles = canvas.roles + _RUN_STEP * (canvas.runs + 1)
    if cross is not None:
        is_free = canvas.roles[:, cross] == int(Role.EMPTY)
        codes[is_free, cross] = ord(glyphs.axis)
        styles[is_free, cross] = _CROSSHAIR
    lines: list[Pieces] = []
    is_change = styles[:, 1:] != styles[:, :-1]
    for row in range(len(codes)):
        label = labels.get(row)
        end = glyphs.axis if label is None else glyphs.tick
        pieces = [((label or "").rjust(gutter - 1) + end, "chart--axis")]
        text = codes[row].tobytes().decode("utf-32-le")
        start = 0
        for stop in (*(np.flatnonzero(is_change[row]) + 1).tolist(), len(text)):
            pieces.append((text[start:stop], _cell_style(int(styles[row, start]))))
            start = stop
        lines.append(tuple(pieces))
    return lines


def _cell_style(code: int) -> str:
    run, role = code // _RUN_STEP - 1, code % _RUN_STEP
    if role == _CROSSHAIR:
        return "chart--crosshair"
    if run != NO_RUN and role in (Role.LINE, Role.POINT):
        return run_style(run)
    return _ROLE_STYLES[Role(role)]


def _foot(
    data: ChartData, state: ChartState, span: Span, full: Span, width: int, gutter: int
) -> Pieces:
    left, right = place_text(span.start, data.axis), place_text(span.end, data.axis)
    middle = place_text((span.start + span.end) / 2, data.axis)
    room = width - gutter
    if span.length <= 0:
        left = middle = ""
    name = "" if data.axis == "step" else AXIS_LABELS[data.axis]
    part = ""
    if state.zoom is not None and full.length > 0:
        part = f" ({100 * span.length / full.length:.3g}%)"
    # The name of an unusual axis is worth more than a third number.
    fitting = (f"{middle} {name}".rstrip() + part, f"{name}{part}", name)
    middle = next((one for one in fitting if len(left + one + right) + 8 <= room), "")
    if len(left) + len(right) + 1 > room:
        left = ""
    half = (room - len(middle)) // 2
    text = left.ljust(half) + middle
    return _fitted([(" " * gutter + text + right.rjust(room - len(text)), "chart--axis")], width)


def _blank(width: int, height: int) -> list[Pieces]:
    lines: list[Pieces] = [((" " * width, ""),) for _ in range(max(height, 0))]
    text = "nothing logged yet"
    if len(lines) > 1 and width > len(text) + 1:
        lines[len(lines) // 2 - 1] = _fitted([("  " + text, "chart--axis")], width)
    return lines


def _fitted(pieces: list[tuple[str, str]], width: int) -> Pieces:
    """Return pieces of exactly `width` characters in all."""
    fitted = []
    for text, style in pieces:
        if text and width > 0:
            fitted.append((text[:width], style))
            width -= min(len(text), width)
    if width > 0:
        fitted.append((" " * width, ""))
    return tuple(fitted)
