"""The keys of a chart."""

from __future__ import annotations

from textual.binding import Binding, BindingType

CHART_BINDINGS: list[BindingType] = [
    Binding(
        "left", "crosshair(-1)", "Left", id="chart.left", show=False,
        tooltip="Move the crosshair left; Shift pans.",
    ),
    Binding(
        "right", "crosshair(1)", "Right", id="chart.right", show=False,
        tooltip="Move the crosshair right; Shift pans.",
    ),
    Binding(
        "ctrl+left", "crosshair(-10)", "Far left", id="chart.far-left", show=False,
        tooltip="Move the crosshair ten columns left.",
    ),
    Binding(
        "ctrl+right", "crosshair(10)", "Far right", id="chart.far-right", show=False,
        tooltip="Move the crosshair ten columns right.",
    ),
    Binding(
        "plus,equals_sign", "zoom_by(2.0)", "Closer", key_display="+", id="chart.closer",
        show=False, tooltip="Show half as much of the x axis, around the crosshair.",
    ),
    Binding(
        "minus", "zoom_by(0.5)", "Wider", key_display="-", id="chart.wider", show=False,
        tooltip="Show twice as much of the x axis.",
    ),
    Binding(
        "shift+left", "pan(-0.25)", "Pan left", id="chart.pan-left", show=False,
        tooltip="Move the shown part of the x axis left.",
    ),
    Binding(
        "shift+right", "pan(0.25)", "Pan right", id="chart.pan-right", show=False,
        tooltip="Move the shown part of the x axis right.",
    ),
    Binding(
        "0", "all", "All", id="chart.all", show=False,
        tooltip="Show the whole x axis, and no crosshair.",
    ),
]  # fmt: skip
