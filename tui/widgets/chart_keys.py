"""The keys of a chart, and of a grid of charts."""

from __future__ import annotations

from textual.binding import BindingType

from tui.shell.keys import KeyNames

_chart = KeyNames("chart").key
_charts = KeyNames("charts").key

CHART_BINDINGS: list[BindingType] = [
    _chart("left", "crosshair(-1)", "Left", "left", "Move the crosshair left; Shift pans."),
    _chart("right", "crosshair(1)", "Right", "right", "Move the crosshair right; Shift pans."),
    _chart("ctrl+left", "crosshair(-10)", "Far left", "far-left",
           "Move the crosshair ten columns left."),
    _chart("ctrl+right", "crosshair(10)", "Far right", "far-right",
           "Move the crosshair ten columns right."),
    _chart("plus,equals_sign", "zoom_by(2.0)", "Closer", "closer",
           "Show half as much of the x axis, around the crosshair.", display="+"),
    _chart("minus", "zoom_by(0.5)", "Wider", "wider", "Show twice as much of the x axis.",
           display="-"),
    _chart("shift+left", "pan(-0.25)", "Pan left", "pan-left",
           "Move the shown part of the x axis left."),
    _chart("shift+right", "pan(0.25)", "Pan right", "pan-right",
           "Move the shown part of the x axis right."),
    _chart("0", "all", "All", "all", "Show the whole x axis, and no crosshair."),
]  # fmt: skip

GRID_BINDINGS: list[BindingType] = [
    _charts("pageup", "page(-1)", "Charts before", "before", "Show the page of charts before."),
    _charts("pagedown", "page(1)", "More charts", "after", "Show the next page of charts."),
]
