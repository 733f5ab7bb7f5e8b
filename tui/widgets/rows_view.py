"""Rows with a cursor: one can be copied, or opened to see all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.analysis.rows import Row
from tui.shell.glyphs import Glyphs
from tui.shell.tones import TONE_CLASSES, TONE_CSS

_MARK_WIDTH = 2


class RowsView(ScrollView, can_focus=True):
    """A page of rows; only those that are visible are drawn."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False, id="rows.up", tooltip="Mark the row above."),
        Binding("down", "move(1)", "Down", show=False, id="rows.down", tooltip="Mark the next."),
        Binding("pageup", "page(-1)", "Page up", show=False, id="rows.back", tooltip="A page up."),
        Binding(
            "pagedown", "page(1)", "Page down", show=False, id="rows.page", tooltip="A page down."
        ),
        Binding("home", "end(0)", "First", show=False, id="rows.first", tooltip="The first row."),
        Binding("end", "end(-1)", "Last", show=False, id="rows.last", tooltip="The last row."),
        Binding("enter", "open", "Open", show=False, id="rows.open", tooltip="Show all of a row."),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES, "rows--cursor", "rows--mark"}
    DEFAULT_CSS = (
        """
    RowsView {
        &> .rows--cursor { background: $foreground 6%; }
        &:focus > .rows--cursor { background: $primary 25%; }
        &> .rows--mark { color: $text-accent; text-style: bold; }
    """
        + TONE_CSS
        + "}"
    )

    @dataclass
    class Marked(Message):
        """The cursor is on another row, or its row has changed."""

        row: Row | None

    @dataclass
    class Opened(Message):
        """The person wants to see all of a row."""

        row: Row

    rows: reactive[tuple[Row, ...]] = reactive(())
    """What to show."""
    cursor: reactive[int] = reactive(-1)
    """The row that is marked; -1 where none can be."""

    def __init__(self, *, glyphs: Glyphs, widget_id: str = "rows") -> None:
        super().__init__(id=widget_id)
        self._glyphs = glyphs

    @property
    def row(self) -> Row | None:
        """The marked row."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def room(self) -> int:
        """How many columns a row may take."""
        # Of a page that fits, the last column is kept free: it may grow and need a scrollbar.
        spare = 0 if self.show_vertical_scrollbar else 1
        return max(self.scrollable_content_region.width - _MARK_WIDTH - spare, 20)

    def watch_rows(self, old: tuple[Row, ...], new: tuple[Row, ...]) -> None:
        """Keep the cursor on the row that it was on, if that is still there."""
        before = old[self.cursor].key if 0 <= self.cursor < len(old) else ""
        usable = self._usable()
        same = [at for at in usable if before and new[at].key == before]
        near = min(usable, key=lambda at: abs(at - self.cursor)) if usable else -1
        place = same[0] if same else near
        self.virtual_size = Size(self.scrollable_content_region.width, len(new))
        if place == self.cursor:
            self.post_message(self.Marked(self.row))
        self.cursor = place
        self.refresh()

    def watch_cursor(self) -> None:
        """Bring the marked row into view."""
        self.post_message(self.Marked(self.row))
        height = self.scrollable_content_region.height
        top = int(self.scroll_offset.y)
        # Headings above the first row are seen with it.
        first = 0 if self.cursor == next(iter(self._usable()), -1) else self.cursor
        if first < top:
            self.scroll_to(y=first, animate=False)
        elif height and self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False)
        self.refresh()

    def start_over(self) -> None:
        """Mark the first row, as of another page."""
        self.set_reactive(RowsView.cursor, -1)
        self.scroll_to(y=0, animate=False)

    def on_resize(self, event: events.Resize) -> None:
        """Take the new width."""
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.rows))
        self.watch_cursor()

    def on_click(self, event: events.Click) -> None:
        """Mark the row under the mouse; a second click opens it."""
        place = event.y + int(self.scroll_offset.y)
        if place in self._usable():
            if event.chain > 1 and place == self.cursor:
                self.action_open()
            self.cursor = place

    def action_move(self, by: int) -> None:
        """Mark another row; past the last one the view scrolls on."""
        usable = self._usable()
        beyond = [at for at in usable if (at - self.cursor) * by > 0]
        if beyond:
            self.cursor = beyond[0] if by > 0 else beyond[-1]
        else:
            self.scroll_relative(y=by, animate=False)

    def action_page(self, by: int) -> None:
        """Mark the row that is a page away."""
        usable = self._usable()
        wanted = self.cursor + by * max(self.scrollable_content_region.height - 1, 1)
        if usable:
            self.cursor = min(usable, key=lambda at: abs(at - wanted))

    def action_end(self, place: int) -> None:
        """Mark the first or the last row."""
        usable = self._usable()
        if usable:
            self.cursor = usable[place]

    def action_open(self) -> None:
        """Tell which row is to be shown in full."""
        if self.row is not None:
            self.post_message(self.Opened(self.row))

    def render_line(self, y: int) -> Strip:
        """Return the row at `y` of the visible part."""
        width = self.scrollable_content_region.width
        place = y + int(self.scroll_offset.y)
        if place >= len(self.rows):
            return Strip.blank(width, self.rich_style)
        is_marked = place == self.cursor
        mark = f"{self._glyphs.cursor} " if is_marked else "  "
        segments = [Segment(mark, self._style("rows--mark"))]
        for piece in self.rows[place].line.pieces:
            segments.append(Segment(piece.text, self._style(f"tone--{piece.tone}")))
        strip = Strip(segments)
        if strip.cell_length > width:
            cut = strip.crop(0, width - len(self._glyphs.ellipsis))
            strip = Strip([*cut, Segment(self._glyphs.ellipsis, self._style("tone--quiet"))])
        strip = strip.adjust_cell_length(width, self.rich_style)
        if is_marked:
            back = Style(bgcolor=self.get_component_rich_style("rows--cursor").bgcolor)
            return Strip(
                [Segment(part.text, (part.style or Style()) + back) for part in strip]
            ).apply_style(self.rich_style)
        return strip.apply_style(self.rich_style)

    def _style(self, name: str) -> Style:
        # Without a background of its own, text shows that of the cursor.
        found = self.get_component_rich_style(name)
        return Style(color=found.color, bold=found.bold)

    def _usable(self) -> list[int]:
        return [at for at, row in enumerate(self.rows) if not row.is_heading]
