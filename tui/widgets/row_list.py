"""A list of toned lines with a cursor; only the lines in sight are drawn."""

from __future__ import annotations

from dataclasses import dataclass
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

from tui.shell.tones import TONE_CLASSES, TONE_CSS, ToneLine
from tui.widgets.toned import ink


class RowList(ScrollView, can_focus=True):
    """Lines of one row each; the cursor moves with the arrows and the mouse."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES, "row-list--cursor"}
    DEFAULT_CSS = (
        "RowList { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1;"
        " &> .row-list--cursor { background: $foreground 10%; }"
        " &:focus > .row-list--cursor { background: $primary 30%; }" + TONE_CSS + "}"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False, id="list.up", tooltip="Go a row up."),
        Binding("down", "move(1)", "Down", show=False, id="list.down", tooltip="Go a row down."),
        Binding(
            "pageup", "page(-1)", "Page up", show=False, id="list.page-up", tooltip="A page up."
        ),
        Binding(
            "pagedown", "page(1)", "Page down", show=False, id="list.page-down",
            tooltip="A page down.",
        ),
        Binding("home", "move(-1000000)", "First", show=False, id="list.first",
                tooltip="Go to the first row."),
        Binding("end", "move(1000000)", "Last", show=False, id="list.last",
                tooltip="Go to the last row."),
        Binding("enter", "take", "Choose", show=False, id="list.take", tooltip="Take the row."),
    ]  # fmt: skip

    lines: reactive[tuple[ToneLine, ...]] = reactive(())
    """What to show."""
    cursor: reactive[int] = reactive(0)
    """The row that is marked."""

    @dataclass
    class Moved(Message):
        """A person moved the cursor to a row."""

        list: RowList
        row: int

        @property
        def control(self) -> RowList:
            """The list, so that handlers can choose by its id."""
            return self.list

    @dataclass
    class Taken(Moved):
        """A person took a row with Enter."""

    def watch_lines(self) -> None:
        """Take the room that the lines need."""
        self.virtual_size = Size(max(self.size.width - 1, 1), len(self.lines))
        self.refresh()

    def watch_cursor(self, row: int) -> None:
        """Keep the cursor in sight."""
        self.scroll_to_region(Region(0, row, 1, 1), animate=False, force=True)
        self.refresh()

    def on_resize(self) -> None:
        """Keep the cursor in sight of the new size."""
        self.watch_lines()
        self.watch_cursor(self.cursor)

    def on_click(self, event: events.Click) -> None:
        """Take the row under the mouse."""
        offset = event.get_content_offset(self)
        row = offset.y + int(self.scroll_offset.y) if offset is not None else len(self.lines)
        if row < len(self.lines):
            self.action_move(row - self.cursor)
            self.action_take()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        row = min(max(self.cursor + by, 0), len(self.lines) - 1)
        if row >= 0 and row != self.cursor:
            self.cursor = row
            self.post_message(self.Moved(self, row))

    def action_page(self, by: int) -> None:
        """Move the cursor by what is in sight."""
        self.action_move(by * max(self.size.height - 1, 1))

    def action_take(self) -> None:
        """Tell that the row was taken."""
        if self.cursor < len(self.lines):
            self.post_message(self.Taken(self, self.cursor))

    def render_line(self, y: int) -> Strip:
        """Return the row at `y` of the visible part."""
        width = self.scrollable_content_region.width
        row = y + int(self.scroll_offset.y)
        if row >= len(self.lines):
            return Strip.blank(width, self.rich_style)
        segments = [
            Segment(piece.text, ink(self.get_component_rich_style(f"tone--{piece.tone}")))
            for piece in self.lines[row].pieces
        ]
        style = self.rich_style
        if row == self.cursor:
            # Not partial: its colour is laid over that of the list.
            marked = self.get_component_rich_style("row-list--cursor")
            style += Style(bgcolor=marked.bgcolor)
        return Strip(segments).adjust_cell_length(width, style).apply_style(style)
