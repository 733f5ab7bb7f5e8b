"""Charts side by side, a page at a time, that share one crosshair and one zoom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.containers import Container
from textual.geometry import Size
from textual.message import Message
from textual.reactive import var

from tui.charts.data import ChartData
from tui.charts.zoom import Zoom
from tui.shell.glyphs import Glyphs
from tui.widgets.chart import Chart
from tui.widgets.chart_keys import GRID_BINDINGS

_MAX_COLUMNS = 4
_COLUMNS_AT = ((150, 3), (44, 2))
_WIDE_ENOUGH_FOR_ALL = 190
_ROWS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class GridShape:
    """How many charts stand side by side and below each other on one page."""

    columns: int
    rows: int

    @property
    def num_charts(self) -> int:
        """How many there are room for."""
        return self.columns * self.rows


def grid_shape(size: Size, num_charts: int) -> GridShape:
    """Return the shape for a room of characters; no more places than there are charts."""
    columns = next((count for width, count in _COLUMNS_AT if size.width >= width), 1)
    if size.width >= _WIDE_ENOUGH_FOR_ALL and num_charts > 3 * max(size.height // _ROWS, 1):
        columns = _MAX_COLUMNS
    columns = min(columns, max(num_charts, 1))
    rows = max(1, min(size.height // _ROWS, -(-num_charts // columns)))
    return GridShape(columns=columns, rows=rows)


class ChartGrid(Container):
    """All charts of a run; those that do not fit are on further pages."""

    BINDINGS: ClassVar[list[BindingType]] = GRID_BINDINGS

    @dataclass
    class Pointed(Message):
        """The crosshair of all charts was moved to a place of the x axis, or taken away."""

        place: float | None

    @dataclass
    class Paged(Message):
        """Other charts are shown now."""

        page: int
        num_pages: int

    charts: var[tuple[tuple[str, ChartData], ...]] = var(())
    """The charts by the keys of their metrics, in the order of their rank."""
    crosshair: var[float | None] = var(None)
    """The place of the x axis whose values every chart shows."""
    zoom: var[Zoom | None] = var(None)
    """The part of the x axis that every chart shows."""
    is_log: var[bool] = var(False)
    """Whether the y axes are logarithmic."""
    page: var[int] = var(0)
    """Which page of charts is shown, from 0."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="charts")
        self._glyphs = glyphs
        self._widgets: dict[str, Chart] = {}
        self._alone: str | None = None
        self._num_pages = 1
        self._shape: GridShape | None = None
        self._told = (0, 1)

    @property
    def num_pages(self) -> int:
        """How many pages of charts there are."""
        return self._num_pages

    @property
    def is_zoomed(self) -> bool:
        """Whether one chart has all the room."""
        return self._alone is not None

    def on_mount(self) -> None:
        """Show what was given before."""
        self._place()

    def on_resize(self, event: events.Resize) -> None:
        """Share the room anew."""
        self._place()

    def watch_charts(self) -> None:
        """Show the newest curves."""
        self._place()

    def watch_page(self) -> None:
        """Show another page."""
        self._place()

    def watch_crosshair(self, place: float | None) -> None:
        """Move the crosshair of the charts that are visible."""
        for chart in self._visible():
            chart.crosshair = place

    def watch_zoom(self, zoom: Zoom | None) -> None:
        """Show the same part in the charts that are visible."""
        for chart in self._visible():
            chart.zoom = zoom

    def watch_is_log(self, is_log: bool) -> None:
        """Draw the y axes anew."""
        for chart in self._widgets.values():
            chart.is_log = is_log

    @on(Chart.Pointed)
    def follow_pointer(self, message: Chart.Pointed) -> None:
        """Point at the same place in every chart."""
        message.stop()
        if self._is_shared(message.chart):
            self.crosshair = message.place
            self.post_message(self.Pointed(message.place))

    @on(Chart.Zoomed)
    def follow_zoom(self, message: Chart.Zoomed) -> None:
        """Show the same part in every chart."""
        message.stop()
        if self._is_shared(message.chart):
            self.zoom = message.zoom

    def action_page(self, by: int) -> None:
        """Show the charts before or after these."""
        self.turn(by)

    def turn(self, by: int) -> None:
        """Show another page; after the last one comes the first."""
        had_focus = any(chart.has_focus for chart in self._visible())
        self.page = (self.page + by) % self._num_pages
        if had_focus:
            next(iter(self._visible())).focus()

    def toggle_alone(self) -> None:
        """Give all the room to the focused chart, else to the first one; or share it again."""
        visible = self._visible()
        if self._alone is None and visible:
            focused = next((chart for chart in visible if chart.has_focus), visible[0])
            self._alone = focused.key
        else:
            self._alone = None
        self.set_class(self._alone is not None, "-zoomed")
        self._place()

    def _is_shared(self, chart: Chart) -> bool:
        """Return whether a chart has the x axis of the others: a machine's load may not."""
        axis = self.charts[0][1].axis if self.charts else None
        return chart.chart.axis == axis

    def _visible(self) -> list[Chart]:
        return [chart for chart in self._widgets.values() if chart.display]

    def _place(self) -> None:
        """Mount what is missing, choose what is visible, and hand its data down."""
        if not self.is_mounted:
            return
        wanted = dict(self.charts)
        self._mount_missing(wanted)
        keys = list(wanted)
        if self._alone is not None and self._alone in wanted:
            shape, keys = GridShape(columns=1, rows=1), [self._alone]
        else:
            shape = grid_shape(self.size, len(keys))
        num_pages = max(1, -(-len(keys) // shape.num_charts))
        page = min(self.page, num_pages - 1)
        # The last page is full: a chart alone in a corner would waste the room of three.
        first = max(0, min(page * shape.num_charts, len(keys) - shape.num_charts))
        shown = set(keys[first : first + shape.num_charts])
        for key, chart in self._widgets.items():
            if chart.display != (key in shown):
                chart.display = key in shown
            chart.set_class(self._alone == key, "-zoomed")
            if key in shown:
                chart.chart = wanted[key]
                chart.is_log = self.is_log
                if self._is_shared(chart):
                    chart.crosshair, chart.zoom = self.crosshair, self.zoom
        if shape != self._shape:
            self._shape = shape
            self.styles.grid_size_columns = shape.columns
            self.styles.grid_size_rows = shape.rows
        if (page, num_pages) != (self.page, self._num_pages):
            self._num_pages = num_pages
            self.set_reactive(ChartGrid.page, page)
        if (page, num_pages) != self._told:
            self._told = (page, num_pages)
            self.post_message(self.Paged(page, num_pages))

    def _mount_missing(self, wanted: dict[str, ChartData]) -> None:
        for key in [key for key in self._widgets if key not in wanted]:
            self._widgets.pop(key).remove()
        if list(self._widgets) == list(wanted):
            return
        before: Chart | None = None
        ordered: dict[str, Chart] = {}
        for key in wanted:
            chart = self._widgets.get(key)
            if chart is None:
                chart = Chart(key=key, glyphs=self._glyphs)
                self.mount(chart, **({"after": before} if before else {"before": 0}))
            ordered[key] = before = chart
        self._widgets = ordered
