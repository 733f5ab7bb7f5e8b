"""A scrolling view of toned lines that follows its end until someone scrolls up."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.shell.tones import TONE_CLASSES, TONE_CSS, ToneLine

_CONTINUATION = 4


class LinesView(ScrollView, can_focus=True):
    """Lines of text, wrapped to the width; only lines that are new are wrapped again."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    DEFAULT_CSS = "LinesView { " + TONE_CSS + "}"

    lines: reactive[tuple[ToneLine, ...]] = reactive(())
    """What to show."""

    def __init__(self, *, widget_id: str) -> None:
        super().__init__(id=widget_id)
        self._rows: list[Strip] = []
        self._first_rows: list[int] = []
        self._line_of_row: list[int] = []
        self._wrapped: dict[ToneLine, list[Strip]] = {}
        self._wrap_key: tuple[int, Style] | None = None
        self._is_following = True

    @property
    def is_following(self) -> bool:
        """Whether the newest line is kept in sight."""
        return self._is_following

    def watch_lines(self) -> None:
        """Lay the lines out again."""
        self._lay_out()

    def on_resize(self, event: events.Resize) -> None:
        """Wrap to the new width."""
        self._lay_out()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow the end from the moment that someone scrolls there."""
        super().watch_scroll_y(old_value, new_value)
        self._is_following = new_value >= self.max_scroll_y

    def notify_style_update(self) -> None:
        """Take the colours of a new theme."""
        super().notify_style_update()
        self._wrap_key = None
        self._lay_out()

    def render_line(self, y: int) -> Strip:
        """Return the row at `y` of the visible part."""
        width = self.scrollable_content_region.width
        row = y + int(self.scroll_offset.y)
        if row >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        strip = self._rows[row].adjust_cell_length(width, self.rich_style)
        above = self.line_style(self._line_of_row[row])
        if above is not None:
            strip = strip.apply_style(above)
        return strip.apply_style(self.rich_style)

    def line_style(self, line: int) -> Style | None:
        """Return what sets a line apart, if anything does."""
        return None

    def scroll_to_line(self, line: int) -> None:
        """Scroll just far enough for a line to be seen whole."""
        if not 0 <= line < len(self._first_rows):
            return
        first = self._first_rows[line]
        after = self._first_rows[line + 1] if line + 1 < len(self._first_rows) else len(self._rows)
        top, height = int(self.scroll_offset.y), self.scrollable_content_region.height
        if first < top:
            self.scroll_to(y=first, animate=False, force=True)
        elif after > top + height:
            self.scroll_to(y=min(first, after - height), animate=False, force=True)

    def line_at(self, y: int) -> int | None:
        """Return the line at a row of the visible part."""
        row = y + int(self.scroll_offset.y)
        return self._line_of_row[row] if 0 <= row < len(self._line_of_row) else None

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        if width < 4:
            return
        key = (width, self.rich_style)
        if key != self._wrap_key:
            self._wrap_key, self._wrapped = key, {}
        known = self._wrapped
        self._wrapped = {line: known.get(line) or self._wrap(line, width) for line in self.lines}
        self._rows, self._first_rows, self._line_of_row = [], [], []
        for place, line in enumerate(self.lines):
            strips = self._wrapped[line]
            self._first_rows.append(len(self._rows))
            self._rows += strips
            self._line_of_row += [place] * len(strips)
        self.virtual_size = Size(width, len(self._rows))
        if self._is_following:
            self.scroll_end(animate=False)
        self.refresh()

    def _wrap(self, line: ToneLine, width: int) -> list[Strip]:
        segments = [
            Segment(piece.text, self.get_component_rich_style(f"tone--{piece.tone}"))
            for piece in line.pieces
        ]
        strip = Strip(segments)
        if strip.cell_length <= width:
            return [strip]
        text = Text.assemble(*((part.text, part.style or "") for part in segments))
        console = self.app.console
        rows = text.wrap(console, max(width - _CONTINUATION, 1))
        indent = Segment(" " * _CONTINUATION)
        return [
            Strip([*([indent] if place else []), *row.render(console, end="")])
            for place, row in enumerate(rows)
        ]
