"""A measure over the turns of a self-chat: a curve with its 95 % band per setting."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.charts.axes import linear_ticks, step_label
from tui.charts.plot import Window
from tui.selfchat.curves import (
    BAND,
    NOTHING,
    TurnCanvas,
    TurnPlot,
    draw_curves,
    end_rows,
    window,
)
from tui.shell.format import decimal
from tui.shell.glyphs import Glyphs

NUM_COLOURS = 6
MIN_ROWS, MIN_COLUMNS = 3, 8


class TurnChart(Widget, can_focus=True):
    """One measure of all settings; letters at the ends name the curves, as the legend does."""

    BINDING_GROUP_TITLE = "Curves over turns"
    HELP = """\
How a measure goes from turn to turn: the mean over the conversations of a setting, a point per
turn, within the dotted band of its 95 % interval. Later turns are those of the conversations that
got so far. The letter at the end of a curve stands in the legend, with the last value.
"""
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "turn-chart--title",
        "turn-chart--axis",
        *(f"turn-chart--curve-{number}" for number in range(NUM_COLOURS)),
    }
    DEFAULT_CSS = """
    TurnChart {
        height: 1fr;
        &> .turn-chart--title { text-style: bold; color: $text-muted; }
        &> .turn-chart--axis { color: $text-disabled; }
        &> .turn-chart--curve-0 { color: $text-accent; }
        &> .turn-chart--curve-1 { color: $text-primary; }
        &> .turn-chart--curve-2 { color: $text-success; }
        &> .turn-chart--curve-3 { color: $text-warning; }
        &> .turn-chart--curve-4 { color: $text-secondary; }
        &> .turn-chart--curve-5 { color: $text-error; }
        &:focus > .turn-chart--title { color: $text-accent; text-style: bold underline; }
    }
    """

    plot: reactive[TurnPlot | None] = reactive(None)
    """What to draw."""

    def __init__(self, *, key: str, glyphs: Glyphs) -> None:
        super().__init__(id=f"turns-{key}")
        self._glyphs = glyphs
        self._strips: tuple[tuple[object, ...], list[Strip]] | None = None

    def render_line(self, y: int) -> Strip:
        """Return one line; all are drawn once per change."""
        width, height = self.size
        key = (id(self.plot), width, height, self.rich_style, self.has_focus)
        if self._strips is None or self._strips[0] != key:
            self._strips = (key, self._draw(width, height))
        strips = self._strips[1]
        return strips[y] if y < len(strips) else Strip.blank(width, self.rich_style)

    def _draw(self, width: int, height: int) -> list[Strip]:
        plot = self.plot
        view = None if plot is None else window(plot)
        if plot is None or view is None:
            return [self._line("nothing to draw yet", "turn-chart--axis", width)]
        legend = self._legend(plot, width, most=max(height - 2 - MIN_ROWS - 2, 1))
        head = [self._line(plot.title, "turn-chart--title", width), *legend]
        rows = height - len(head) - 1
        ticks = linear_ticks(view.y_min, view.y_max, max(2, rows // 3))
        gutter = max((len(tick.label) for tick in ticks), default=0) + 1
        columns = width - gutter - 2
        if rows < MIN_ROWS or columns < MIN_COLUMNS:
            return head[:height]
        canvas = draw_curves(plot, view, columns=columns, rows=rows, glyphs=self._glyphs)
        labels = {round((1 - tick.share) * (rows - 1)): tick.label for tick in ticks}
        letters = end_rows(canvas)
        body = [
            self._row(plot, canvas, row, labels.get(row), gutter, letters.get(row))
            for row in range(rows)
        ]
        return [*head, *body, self._axis(view, width, gutter)]

    def _legend(self, plot: TurnPlot, width: int, *, most: int) -> list[Strip]:
        """Return names with last values, several to a line where they fit."""
        lines: list[list[Segment]] = [[]]
        used = 0
        for place, curve in enumerate(plot.curves):
            last = curve.points[-1][1].mean if curve.points else None
            text = f"{curve.letter} {curve.name} {decimal(last, 2)}   "
            if used and used + len(text) > width:
                lines.append([])
                used = 0
            used += len(text)
            lines[-1].append(Segment(text, self._curve_style(place)))
        return [
            Strip(line).adjust_cell_length(width, self.rich_style).crop(0, width)
            for line in lines[:most]
        ]

    def _row(
        self,
        plot: TurnPlot,
        canvas: TurnCanvas,
        row: int,
        label: str | None,
        gutter: int,
        owner: int | None,
    ) -> Strip:
        end = self._glyphs.axis if label is None else self._glyphs.tick
        segments = [Segment((label or "").rjust(gutter - 1) + end, self._style("turn-chart--axis"))]
        kinds, owners = canvas.kinds[row].tolist(), canvas.owners[row].tolist()
        cells = list(zip(kinds, owners, strict=True))
        start = 0
        for column in range(1, len(cells) + 1):
            if column == len(cells) or cells[column] != cells[start]:
                text = "".join(map(chr, canvas.codes[row, start:column].tolist()))
                segments.append(Segment(text, self._cell_style(*cells[start])))
                start = column
        if owner is not None:
            letter = plot.curves[owner].letter
            segments.append(Segment(f" {letter}", self._curve_style(owner) + Style(bold=True)))
        else:
            segments.append(Segment("  ", self.rich_style))
        return Strip(segments)

    def _axis(self, view: Window, width: int, gutter: int) -> Strip:
        left, right = f"turn {step_label(view.x_min)}", step_label(view.x_max)
        room = width - gutter - 2
        text = left + right.rjust(max(room - len(left), 1)) if view.x_max > view.x_min else left
        return self._line(" " * gutter + text, "turn-chart--axis", width)

    def _cell_style(self, kind: int, owner: int) -> Style:
        if kind == NOTHING:
            return self.rich_style
        style = self._curve_style(owner)
        return style + Style(dim=True) if kind == BAND else style + Style(bold=True)

    def _line(self, text: str, name: str, width: int) -> Strip:
        strip = Strip([Segment(text, self._style(name))])
        return strip.adjust_cell_length(width, self.rich_style)

    def _curve_style(self, place: int) -> Style:
        return self._style(f"turn-chart--curve-{place % NUM_COLOURS}")

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(name)
