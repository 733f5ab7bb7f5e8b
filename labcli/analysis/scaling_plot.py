"""`scaling plot`: FLOPs against loss as a chart of characters, both axes logarithmic. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runs.analysis.power_law import PowerLaw
from runs.analysis.scaling_points import ScalingPoint
from tui.charts.axes import Tick, log_ticks
from tui.shell.glyphs import Glyphs

MIN_COLUMNS, MAX_COLUMNS = 30, 120
MAX_ROWS = 24
_LABEL_WIDTH = 7
_LINE_POINTS = 200


def plot_text(
    points: Sequence[ScalingPoint],
    law: PowerLaw | None,
    *,
    glyphs: Glyphs,
    width: int,
    height: int,
) -> str:
    """Return the points, and the law through them where there is one, with labelled axes."""
    import numpy as np

    from tui.charts.plot import Layer, Role, draw, window_of

    x = np.log10([point.flops for point in points])
    y = np.log10([point.loss for point in points])
    layers = []
    if law is not None:
        line = np.linspace(x.min(), x.max(), _LINE_POINTS)
        values = np.log10([law.at(flops) for flops in (10.0**line).tolist()])
        layers.append(Layer(x=line, y=values, role=Role.LINE))
    # A layer joins its points with a line, so each gets a layer of its own.
    layers += [
        Layer(x=x[i : i + 1], y=y[i : i + 1], role=Role.POINT, has_points=True)
        for i in range(len(points))
    ]
    window = window_of(layers)
    assert window is not None
    columns = max(MIN_COLUMNS, min(width, MAX_COLUMNS) - _LABEL_WIDTH - 1)
    rows = max(6, min(height - 4, MAX_ROWS))
    canvas = draw(layers, window, columns=columns, rows=rows, glyphs=glyphs)
    labels = _labels(log_ticks(window.y_min, window.y_max, rows // 3), rows)
    lines = [
        f"{label:>{_LABEL_WIDTH}}{glyphs.axis}{''.join(row).rstrip()}"
        for label, row in zip(labels, canvas.characters, strict=True)
    ]
    below = _x_axis(log_ticks(window.x_min, window.x_max, columns // 14), columns)
    return "\n".join([*lines, " " * (_LABEL_WIDTH + 1) + below])


def _labels(ticks: Sequence[Tick], rows: int) -> list[str]:
    labels = [""] * rows
    for tick in ticks:
        labels[round((1 - tick.share) * (rows - 1))] = tick.label
    return labels


def _x_axis(ticks: Sequence[Tick], columns: int) -> str:
    line = [" "] * columns
    for tick in ticks:
        start = min(round(tick.share * (columns - 1)), columns - len(tick.label))
        is_free = all(char == " " for char in line[max(0, start - 1) : start + len(tick.label) + 1])
        if is_free:
            line[start : start + len(tick.label)] = tick.label
    return "".join(line).rstrip()
