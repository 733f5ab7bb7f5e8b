"""Lines with a cursor that lives elsewhere: a click picks a line, the owner moves the cursor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.shell.tones import TONE_CLASSES, TONE_CSS, ToneLine


class PickList(ScrollView, can_focus=False):
    """Toned lines, cut at the width, with one of them marked."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES, "pick--cursor"}
    DEFAULT_CSS = (
        "PickList { "
        + TONE_CSS
        + " &> .pick--cursor { background: $primary 25%; } overflow-x: hidden; }"
    )

    lines: reactive[tuple[ToneLine, ...]] = reactive(())
    """What to show."""
    cursor: reactive[int] = reactive(0)
    """The marked line."""

    @dataclass
    class Picked(Message):
        """A line was clicked."""

        index: int

    def watch_lines(self) -> None:
        """Take the new height."""
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.lines))
        self.refresh()

    def watch_cursor(self) -> None:
        """Keep the marked line in view, and the heading above the first one."""
        top = self.cursor - 1 if self.cursor == 1 else self.cursor
        self.scroll_to_region(Region(0, top, 1, 1), animate=False, force=True)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Tell which line it was."""
        row = event.y + int(self.scroll_offset.y)
        if row < len(self.lines):
            self.post_message(self.Picked(row))

    def notify_style_update(self) -> None:
        """Take the colours of a new theme."""
        super().notify_style_update()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the line at `y` of the visible part."""
        width = self.scrollable_content_region.width
        row = y + int(self.scroll_offset.y)
        base = self.rich_style
        if row >= len(self.lines):
            return Strip.blank(width, base)
        marked = self.get_component_rich_style("pick--cursor").background_style
        ground = marked if row == self.cursor else base.background_style
        segments = [
            Segment(piece.text, self.get_component_rich_style(f"tone--{piece.tone}") + ground)
            for piece in self.lines[row].pieces
        ]
        return Strip(segments).adjust_cell_length(width, base + ground)
