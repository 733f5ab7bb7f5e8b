"""The chart widget: a title, a plot with labelled axes, and nothing else."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.charts.axes import Tick, linear_ticks, log_ticks, step_label
from tui.charts.plot import Canvas, Role, Window, draw, log_layer, window_of
from tui.live.present import ChartData
from tui.shell.glyphs import Glyphs

_ROLE_CLASS = {
    Role.EMPTY: "chart--axis",
    Role.GHOST: "chart--ghost",
    Role.RAW: "chart--raw",
    Role.LINE: "chart--line",
    Role.POINT: "chart--point",
    Role.NOT_A_NUMBER: "chart--nan",
}
_MIN_COLUMNS = 8
_MIN_ROWS = 3


class Chart(Widget, can_focus=True):
    """One metric over the steps of a stage, drawn with braille dots."""

    BINDING_GROUP_TITLE = "Chart"
    HELP = """\
The chart shows one metric over the steps of the selected stage. Every column of dots spans
the smallest to the largest value in it, so a spike of a single step stays visible. The bright
line is the smoothed curve. Values that are not numbers are marked at the bottom and counted in
the title. Steps that a resume replayed are drawn dim and do not count.
"""
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--title",
        "chart--latest",
        "chart--warning",
        "chart--hint",
        "chart--axis",
        "chart--raw",
        "chart--line",
        "chart--point",
        "chart--ghost",
        "chart--nan",
    }
    DEFAULT_CSS = """
    Chart {
        &> .chart--title { text-style: bold; color: $text-muted; }
        &> .chart--latest { text-style: bold; color: $text; }
        &> .chart--warning { color: $text-error; text-style: bold; }
        &> .chart--hint { color: $text-disabled; }
        &> .chart--axis { color: $text-disabled; }
        &> .chart--raw { color: $primary 60%; }
        &> .chart--line { color: $accent; text-style: bold; }
        &> .chart--point { color: $accent; text-style: bold; }
        &> .chart--ghost { color: $text-disabled; text-style: dim; }
        &> .chart--nan { color: $text-error; text-style: bold; }
        &:focus > .chart--title { color: $text-accent; text-style: bold underline; }
    }
    """

    chart: reactive[ChartData] = reactive(ChartData(title=""))
    """What to draw."""
    is_log: reactive[bool] = reactive(False)
    """Whether the y axis is logarithmic."""

    def __init__(self, *, key: str, glyphs: Glyphs) -> None:
        super().__init__(id=f"chart-{key}")
        self._glyphs = glyphs
        self._strips: tuple[tuple[object, ...], list[Strip]] | None = None

    def render_line(self, y: int) -> Strip:
        """Return one line of the chart; all are drawn once per change."""
        width, height = self.size
        key = (id(self.chart), self.is_log, width, height, self.rich_style, self.has_focus)
        if self._strips is None or self._strips[0] != key:
            self._strips = (key, self._draw(width, height))
        strips = self._strips[1]
        return strips[y] if y < len(strips) else Strip.blank(width, self.rich_style)

    def _draw(self, width: int, height: int) -> list[Strip]:
        strips = [self._title(width)]
        layers = self.chart.layers
        if self.is_log:
            layers = tuple(log_layer(layer) for layer in layers)
        window = window_of(layers)
        rows = height - 2
        if window is None or rows < _MIN_ROWS - 1:
            return [*strips, *self._blank(width, height - 1)]
        ticks = self._ticks(window, rows)
        gutter = max((len(tick.label) for tick in ticks), default=0) + 1
        columns = width - gutter
        if columns < _MIN_COLUMNS:
            return [*strips, *self._blank(width, height - 1)]
        canvas = draw(layers, window, columns=columns, rows=rows, glyphs=self._glyphs)
        labels = {round((1 - tick.share) * (rows - 1)): tick.label for tick in ticks}
        strips += [self._row(canvas, row, labels.get(row), gutter) for row in range(rows)]
        strips.append(self._steps(window, width, gutter))
        return strips

    def _ticks(self, window: Window, rows: int) -> list[Tick]:
        wanted = max(2, rows // 3)
        is_percent = self.chart.unit == "percent"
        if self.is_log:
            return log_ticks(window.y_min, window.y_max, wanted, is_percent=is_percent)
        return linear_ticks(window.y_min, window.y_max, wanted, is_percent=is_percent)

    def _title(self, width: int) -> Strip:
        segments = [
            Segment(self.chart.title, self._style("chart--title")),
            Segment("  " + self.chart.latest, self._style("chart--latest")),
        ]
        room = width - sum(len(segment.text) for segment in segments)
        marks = (
            (self.chart.warning, "chart--warning"),
            ("log" if self.is_log else "", "chart--hint"),
            (self.chart.hint, "chart--hint"),
        )
        shown: list[Segment] = []
        for text, name in marks:
            if text and len(text) + 2 <= room:
                room -= len(text) + 2
                shown += [Segment("  ", self.rich_style), Segment(text, self._style(name))]
        segments += [Segment(" " * room, self.rich_style), *shown]
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _row(self, canvas: Canvas, row: int, label: str | None, gutter: int) -> Strip:
        axis = self._style("chart--axis")
        end = self._glyphs.axis if label is None else self._glyphs.tick
        segments = [Segment((label or "").rjust(gutter - 1) + end, axis)]
        characters, roles = canvas.characters[row], canvas.roles[row]
        start = 0
        for column in range(1, len(roles) + 1):
            if column == len(roles) or roles[column] != roles[start]:
                text = "".join(characters[start:column])
                style = self._style(_ROLE_CLASS[Role(int(roles[start]))])
                segments.append(Segment(text, style))
                start = column
        return Strip(segments)

    def _steps(self, window: Window, width: int, gutter: int) -> Strip:
        left, right = step_label(window.x_min), step_label(window.x_max)
        middle = step_label((window.x_min + window.x_max) / 2)
        room = width - gutter
        if window.x_min == window.x_max:
            left = middle = ""
        if len(left) + len(middle) + len(right) + 8 > room:
            middle = ""
        if len(left) + len(right) + 1 > room:
            left = ""
        half = (room - len(middle)) // 2
        text = left.ljust(half) + middle
        text = " " * gutter + text + right.rjust(room - len(text))
        return Strip([Segment(text, self._style("chart--axis"))]).adjust_cell_length(
            width, self.rich_style
        )

    def _blank(self, width: int, height: int) -> list[Strip]:
        strips = [Strip.blank(width, self.rich_style) for _ in range(max(height, 0))]
        text = "nothing logged yet"
        if len(strips) > 1 and width > len(text) + 1:
            segment = Segment("  " + text, self._style("chart--axis"))
            middle = len(strips) // 2 - 1
            strips[middle] = Strip([segment]).adjust_cell_length(width, self.rich_style)
        return strips

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(name)
