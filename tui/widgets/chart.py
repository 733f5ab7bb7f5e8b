"""The chart widget: curves with labelled axes, a crosshair, zooming and panning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.reactive import var
from textual.strip import Strip
from textual.widget import Widget

from tui.charts.data import ChartData, snapped
from tui.charts.sheet import STYLES, ChartState, Pieces, Sheet, lay_out
from tui.charts.zoom import Zoom, panned, showing, zoomed
from tui.shell.glyphs import Glyphs
from tui.shell.tones import RUN_CSS
from tui.widgets.chart_keys import CHART_BINDINGS

_WHEEL_ZOOM = 1.25


class Chart(Widget, can_focus=True):
    """Curves over one x axis, drawn with braille dots."""

    BINDING_GROUP_TITLE = "Chart"
    HELP = """\
Every column of dots spans the smallest to the largest value in it, so a spike of a single step
stays visible. The bright line is the smoothed curve. Values that are not numbers are marked at
the bottom and counted in the title. Steps that a resume replayed are drawn dim and do not
count. Left and right, or the mouse, move a crosshair through all charts at once; the titles say
the values there. Plus and minus, or the wheel, zoom; Shift with left and right, or dragging,
pans; 0 shows everything again. Curves of several runs carry letters that the legend names.
"""
    BINDINGS: ClassVar[list[BindingType]] = CHART_BINDINGS
    COMPONENT_CLASSES: ClassVar[set[str]] = set(STYLES)
    DEFAULT_CSS = (
        """
    Chart {
        &> .chart--title { text-style: bold; color: $text-muted; }
        &> .chart--latest { text-style: bold; color: $text; }
        &> .chart--warning { color: $text-error; text-style: bold; }
        &> .chart--hint, &> .chart--axis { color: $text-disabled; }
        &> .chart--raw { color: $primary 60%; }
        &> .chart--line, &> .chart--point { color: $accent; text-style: bold; }
        &> .chart--ghost { color: $text-disabled; text-style: dim; }
        &> .chart--nan { color: $text-error; text-style: bold; }
        &> .chart--crosshair { color: $text-accent; text-style: bold; }
    """
        + RUN_CSS
        + """
        &:focus > .chart--title { color: $text-accent; text-style: bold underline; }
    }
    """
    )

    @dataclass
    class Pointed(Message):
        """The crosshair was moved to a place of the x axis, or taken away."""

        chart: Chart
        place: float | None

    @dataclass
    class Zoomed(Message):
        """Another part of the x axis is wanted; None is all of it."""

        chart: Chart
        zoom: Zoom | None

    chart: var[ChartData] = var(ChartData(title=""))
    """What to draw."""
    is_log: var[bool] = var(False)
    """Whether the y axis is logarithmic."""
    crosshair: var[float | None] = var(None)
    """The place of the x axis whose values are shown."""
    zoom: var[Zoom | None] = var(None)
    """The part of the x axis that is shown."""

    def __init__(self, *, key: str, glyphs: Glyphs) -> None:
        super().__init__(id=f"chart-{key}")
        self.key = key
        self._glyphs = glyphs
        self._sheet = Sheet(lines=())
        self._drawn_key: tuple[object, ...] = ()
        self._strips: list[Strip] = []
        self._styled_for: bool | None = None
        self._rich_styles: dict[str, Style] = {}
        self._dragged_from: tuple[int, Zoom | None] | None = None

    @property
    def sheet(self) -> Sheet:
        """The lines as they are shown now."""
        self._renew()
        return self._sheet

    def watch_chart(self) -> None:
        """Draw what has changed."""
        self._refresh_changed()

    def watch_is_log(self) -> None:
        """Draw on the other scale."""
        self._refresh_changed()

    def watch_crosshair(self) -> None:
        """Move the crosshair."""
        self._refresh_changed()

    def watch_zoom(self) -> None:
        """Draw another part."""
        self._refresh_changed()

    def notify_style_update(self) -> None:
        """Take the colours of a new theme, or of the focus."""
        super().notify_style_update()
        self._styled_for = None

    def render_line(self, y: int) -> Strip:
        """Return one line of the chart; all are laid out once per change."""
        self._renew()
        if y < len(self._strips):
            return self._strips[y]
        return Strip.blank(self.size.width, self.rich_style)

    def action_crosshair(self, by: int) -> None:
        """Move the crosshair by columns, to the points of the curve."""
        sheet, layer = self.sheet, self.chart.probe()
        if layer is None and self.chart.legend:
            layer = self.chart.probe(self.chart.legend[0].run)
        if sheet.span is None or sheet.full is None or layer is None:
            return
        if self.crosshair is None:
            place = snapped(layer, sheet.span.end if by < 0 else sheet.span.start)
        else:
            column = sheet.span.length / max(sheet.columns, 1)
            place = snapped(layer, self.crosshair + by * column)
            if (place - self.crosshair) * by <= 0:
                place = snapped(layer, self.crosshair, by=1 if by > 0 else -1)
        self._zoom_to(showing(self.zoom, sheet.full, place))
        self._point_at(place)

    def action_zoom_by(self, factor: float) -> None:
        """Show less or more of the x axis, around the crosshair."""
        if self.sheet.full is not None:
            self._zoom_to(zoomed(self.zoom, self.sheet.full, factor=factor, around=self.crosshair))

    def action_pan(self, share: float) -> None:
        """Move what is shown by a share of it."""
        if self.sheet.full is not None:
            self._zoom_to(panned(self.zoom, self.sheet.full, share=share))

    def action_all(self) -> None:
        """Show everything, without a crosshair."""
        self._zoom_to(None)
        self._point_at(None)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Point at what is under the mouse, or pan while a button is held."""
        sheet = self.sheet
        if self._dragged_from is not None and sheet.full is not None:
            start, zoom = self._dragged_from
            share = (start - event.x) / max(sheet.columns, 1)
            self._zoom_to(panned(zoom, sheet.full, share=share))
            return
        self._point_at(sheet.place_at(event.x))

    def on_leave(self) -> None:
        """Take the crosshair away with the mouse, unless keys hold it here."""
        if not self.has_focus:
            self._point_at(None)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to drag."""
        self._dragged_from = (event.x, self.zoom)
        self.capture_mouse()

    def on_mouse_up(self) -> None:
        """End dragging."""
        self._dragged_from = None
        self.release_mouse()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in on what is under the mouse."""
        self._wheel(event, _WHEEL_ZOOM)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        self._wheel(event, 1 / _WHEEL_ZOOM)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        event.stop()
        event.prevent_default()
        sheet = self.sheet
        if sheet.full is not None:
            around = sheet.place_at(event.x)
            self._zoom_to(zoomed(self.zoom, sheet.full, factor=factor, around=around))

    def _point_at(self, place: float | None) -> None:
        if place != self.crosshair:
            self.crosshair = place
            self.post_message(self.Pointed(self, place))

    def _zoom_to(self, zoom: Zoom | None) -> None:
        if zoom != self.zoom:
            self.zoom = zoom
            self.post_message(self.Zoomed(self, zoom))

    def _refresh_changed(self) -> None:
        """Have the terminal draw only the lines that are not as they were."""
        if not self.is_mounted or not self.size:
            return
        before = self._sheet.lines
        self._renew()
        after = self._sheet.lines
        if len(before) != len(after):
            self.refresh()
            return
        changed = [y for y, line in enumerate(after) if line is not before[y]]
        if changed:
            width = self.size.width
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def _renew(self) -> None:
        width, height = self.size
        key = (id(self.chart), self.is_log, self.crosshair, self.zoom, width, height)
        # Asking for styles costs more than drawing: they are kept until Textual says they changed.
        is_styled = self._styled_for == self.has_focus
        if key == self._drawn_key and is_styled:
            return
        if not is_styled:
            self._styled_for = self.has_focus
            self._rich_styles = {"": self.rich_style}
        if key != self._drawn_key:
            self._drawn_key = key
            state = ChartState(is_log=self.is_log, zoom=self.zoom, crosshair=self.crosshair)
            sheet = lay_out(
                self.chart,
                state,
                width=width,
                height=height,
                glyphs=self._glyphs,
                likely_columns=self._sheet.columns,
            )
            kept = {line: line for line in self._sheet.lines}
            old_strips = dict(zip(self._sheet.lines, self._strips, strict=False))
            self._sheet = replace(sheet, lines=tuple(kept.get(line, line) for line in sheet.lines))
        else:
            old_strips = {}
        known = old_strips if is_styled else {}
        self._strips = [known.get(line) or self._strip(line) for line in self._sheet.lines]

    def _strip(self, line: Pieces) -> Strip:
        segments = []
        for text, name in line:
            style = self._rich_styles.get(name)
            if style is None:
                style = self._rich_styles[name] = self.get_component_rich_style(name)
            segments.append(Segment(text, style))
        return Strip(segments, self.size.width)
