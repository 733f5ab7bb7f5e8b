"""The table of all runs; only the rows on the screen are ever drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from runs.views.run_view import RunView
from tui.listing.arrange import Heading, Row
from tui.listing.columns import BY_KEY, Cell, Looking, Needs, Order, fitting, needs_of
from tui.shell.glyphs import Glyphs
from tui.shell.tones import TONE_CLASSES, TONE_CSS, Tone

PARTS = ("runs-table--header", "runs-table--cursor", "runs-table--heading")
Line = tuple[Cell, ...]


def _key(key: str, action: str, description: str, name: str, tooltip: str) -> Binding:
    return Binding(key, action, description, show=False, id=f"runs.{name}", tooltip=tooltip)


class RunsTable(ScrollView, can_focus=True):
    """Every run of the lab home that passes the filter, in the order that was asked for."""

    BINDING_GROUP_TITLE = "Runs"
    HELP = """\
The runs of this lab home, newest first. Up and down move, Enter shows a run below, Space marks
it. The state is true: it comes from the run's own files and its processes. What a key does is
done to the marked runs, else to the one under the cursor.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("enter", "open", "Show", "open", "Show the run under the cursor in the panes below."),
        _key("space", "mark", "Mark", "mark", "Mark the run under the cursor, or no longer."),
        _key("up,k", "move(-1)", "Up", "up", "Go to the run above."),
        _key("down,j", "move(1)", "Down", "down", "Go to the run below."),
        _key("pageup", "page(-1)", "Page up", "page-up", "Go a page up."),
        _key("pagedown", "page(1)", "Page down", "page-down", "Go a page down."),
        _key("home", "edge(-1)", "First", "first", "Go to the first run."),
        _key("end", "edge(1)", "Last", "last", "Go to the last run."),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES, *PARTS}
    DEFAULT_CSS = (
        "RunsTable {"
        + TONE_CSS
        + """
        &> .runs-table--header { color: $text-muted; }
        &> .runs-table--heading { color: $text; text-style: bold; }
        &> .runs-table--cursor { background: $foreground 6%; }
        &:focus > .runs-table--cursor { background: $primary 25%; }
    }"""
    )

    @dataclass
    class Opened(Message):
        """The person wants to see a run below."""

        path: Path

    @dataclass
    class MarkToggled(Message):
        """The person marks a run, or takes the mark away."""

        path: Path

    @dataclass
    class SortAsked(Message):
        """The person clicked the title of a column."""

        key: str

    @dataclass
    class CursorMoved(Message):
        """Another run is under the cursor."""

        path: Path | None

    rows: reactive[tuple[Row, ...]] = reactive((), always_update=True, init=False)
    """The runs to list, under their headings."""
    focused_run: reactive[Path | None] = reactive(None, init=False)
    """The run that the panes below show."""
    marked: reactive[frozenset[Path]] = reactive(frozenset(), init=False)
    """The runs that are marked."""
    order: reactive[Order | None] = reactive(None, init=False)
    """By which column the rows are sorted; its title says so."""
    num_runs: reactive[int] = reactive(0, layout=True, init=False)
    """How many runs there are; a filter hides some, and leaves the panes below where they are."""
    empty_text: reactive[str] = reactive("", init=False)
    """What stands there when no run does."""
    now: float = 0.0
    """The time against which ages are counted; set before `rows`."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="runs")
        self._glyphs = glyphs
        self._widths: dict[str, int] = {}
        self._needs = Needs()
        self._places: dict[Path, int] = {}
        self._cursor = 0
        self._cursor_path: Path | None = None
        self._painted: dict[int, tuple[Line, bool]] = {}

    @property
    def run_under_cursor(self) -> RunView | None:
        """The run that keys act on, if there is one."""
        row = self.rows[self._cursor] if self._cursor < len(self.rows) else None
        return row if isinstance(row, RunView) else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that there is room for."""
        return tuple(self._widths)

    def watch_rows(self) -> None:
        """Show the new rows, drawing anew only what changed on the screen."""
        self._places = {
            row.path: place for place, row in enumerate(self.rows) if isinstance(row, RunView)
        }
        needs = needs_of(row for row in self.rows if isinstance(row, RunView))
        if needs != self._needs:
            self._needs = needs
            self._fit()
        height = max(len(self.rows), 1) + 1
        if height != self.virtual_size.height:
            self.virtual_size = Size(self.size.width, height)
        wanted = self._places.get(self._cursor_path) if self._cursor_path else None
        if wanted is None:
            wanted = self._near_run(min(self._cursor, max(len(self.rows) - 1, 0)), 1)
        if wanted != self._cursor:
            self._cursor = wanted
            self._scroll_to_cursor()
        self._tell_cursor()
        self.redraw_changes()

    def watch_focused_run(self, path: Path | None) -> None:
        """Move the sign, and the cursor, to the focused run."""
        if path in self._places:
            self._go(self._places[path])
        self._cursor_path = path or self._cursor_path
        self.redraw_changes()

    def watch_marked(self) -> None:
        """Show the marks."""
        self.redraw_changes()

    def watch_order(self) -> None:
        """Say by what is sorted, and show that column."""
        self._fit()

    def watch_empty_text(self) -> None:
        """Say why there is nothing."""
        self.refresh()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the room that the rows want, those that a filter hides among them."""
        return max(self.num_runs, len(self.rows), 1) + 1

    def on_resize(self, event: events.Resize) -> None:
        """Choose the columns that fit."""
        self._fit()
        self._scroll_to_cursor()

    def watch_show_vertical_scrollbar(self) -> None:
        """Leave the scrollbar its column."""
        self._fit()

    def redraw_changes(self) -> None:
        """Draw the lines anew whose text has changed since they were drawn."""
        top = self.scroll_offset.y
        for y, painted in list(self._painted.items()):
            place = top + y - 1
            row = self.rows[place] if 0 <= place < len(self.rows) else None
            if row is None or painted != (self._line(row), place == self._cursor):
                self._painted.pop(y, None)
                self.refresh(Region(0, y, self.size.width, 1))
        if len(self._painted) < min(self.size.height - 1, len(self.rows)):
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of the screen: the titles stay on top of the rows."""
        width = self.size.width
        if y == 0:
            return Strip(self._title_segments()).adjust_cell_length(width, self.rich_style)
        place = self.scroll_offset.y + y - 1
        if place >= len(self.rows):
            self._painted.pop(y, None)
            text = f"   {self.empty_text}" if place == 0 else ""
            return Strip([Segment(self._glyphs.cut(text, width), self._style("quiet", False))])
        row, has_cursor = self.rows[place], place == self._cursor
        line = self._line(row)
        self._painted[y] = (line, has_cursor)
        if isinstance(row, Heading):
            text = self._glyphs.cut("".join(text for text, _ in line), width)
            segments = [Segment(text, self._style(PARTS[2], False))]
        else:
            segments = self._cell_segments(line, has_cursor)
        return Strip(segments).adjust_cell_length(width, self._style("plain", has_cursor))

    def action_open(self) -> None:
        """Tell which run was chosen."""
        run = self.run_under_cursor
        if run is not None:
            self.post_message(self.Opened(run.path))

    def action_mark(self) -> None:
        """Tell which run is to be marked, and go on to the next."""
        run = self.run_under_cursor
        if run is not None:
            self.post_message(self.MarkToggled(run.path))
            self.action_move(1)

    def action_move(self, by: int) -> None:
        """Move the cursor by runs; headings are passed over."""
        self._go(self._near_run(self._cursor + by, 1 if by > 0 else -1))

    def action_page(self, by: int) -> None:
        """Move the cursor by what the screen holds."""
        self._go(self._near_run(self._cursor + by * max(self.size.height - 2, 1), by))

    def action_edge(self, by: int) -> None:
        """Move the cursor to the first or last run."""
        self._go(self._near_run(0 if by < 0 else len(self.rows) - 1, -by))

    def on_click(self, event: events.Click) -> None:
        """Sort by a title, mark by the first columns, show a run by the rest of its row."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0:
            key = self._column_at(offset.x)
            if key is not None:
                self.post_message(self.SortAsked(key))
            return
        place = self.scroll_offset.y + offset.y - 1
        if place < len(self.rows) and isinstance(self.rows[place], RunView):
            self._go(place)
            is_mark = self._column_at(offset.x) in ("shown", "mark") or event.ctrl
            run = self.run_under_cursor
            if run is not None:
                told = self.MarkToggled(run.path) if is_mark else self.Opened(run.path)
                self.post_message(told)

    def _fit(self) -> None:
        self._widths = fitting(self.scrollable_content_region.width, self.order, self._needs)
        self._painted.clear()
        self.refresh()

    def _near_run(self, place: int, by: int) -> int:
        """Return the place of a run at `place` or beyond it, else of the one before."""
        place = min(max(place, 0), max(len(self.rows) - 1, 0))
        for way in (by, -by):
            here = place
            while 0 <= here < len(self.rows):
                if isinstance(self.rows[here], RunView):
                    return here
                here += 1 if way > 0 else -1
        return 0

    def _go(self, place: int) -> None:
        if place != self._cursor:
            self._cursor = place
            self._scroll_to_cursor()
        self._tell_cursor()
        self.redraw_changes()

    def _tell_cursor(self) -> None:
        run = self.run_under_cursor
        path = run.path if run else None
        if path != self._cursor_path:
            self._cursor_path = path
            self.post_message(self.CursorMoved(path))

    def _scroll_to_cursor(self) -> None:
        shown, top = max(self.size.height - 1, 1), self.scroll_offset.y
        first = 0 if self._near_run(0, 1) == self._cursor else self._cursor
        if first < top:
            self.scroll_to(y=first, animate=False)
        elif self._cursor >= top + shown:
            self.scroll_to(y=self._cursor - shown + 1, animate=False)

    def _line(self, row: Row) -> Line:
        if isinstance(row, Heading):
            word = "run" if row.num_runs == 1 else "runs"
            rule = self._glyphs.bar_empty * 2
            return ((f"{rule} {row.text}  {row.num_runs} {word}", "strong"),)
        looking = Looking(
            glyphs=self._glyphs, now=self.now, focused=self.focused_run, marked=self.marked
        )
        return tuple(BY_KEY[key].cell(row, looking) for key in self._widths)

    def _cell_segments(self, line: Line, has_cursor: bool) -> list[Segment]:
        segments = []
        for (key, width), (text, tone) in zip(self._widths.items(), line, strict=True):
            column = BY_KEY[key]
            # A number is apart from the column before it, a text from the one after it.
            cut = self._glyphs.cut(text, max(width - 1, 1))
            placed = cut.rjust(width) if column.is_number else cut.ljust(width)
            segments.append(Segment(placed, self._style(tone, has_cursor)))
        return segments

    def _title_segments(self) -> list[Segment]:
        segments = []
        for key, width in self._widths.items():
            column, title = BY_KEY[key], BY_KEY[key].title
            is_sorted = self.order is not None and self.order.key == key
            if self.order is not None and is_sorted:
                glyphs = self._glyphs
                title += glyphs.descending if self.order.is_descending else glyphs.ascending
            placed = title.rjust(width) if column.is_number else title.ljust(width)
            style = self._style("active" if is_sorted else PARTS[0], False)
            segments.append(Segment(placed[:width], style))
        return segments

    def _column_at(self, x: int) -> str | None:
        for key, width in self._widths.items():
            if x < width:
                return key
            x -= width
        return None

    def _style(self, part: Tone | str, has_cursor: bool) -> Style:
        toned = self.get_component_rich_style(part if part in PARTS else f"tone--{part}")
        ground = self.get_component_rich_style(PARTS[1]) if has_cursor else self.rich_style
        return Style(color=toned.color, bgcolor=ground.bgcolor, bold=toned.bold)
