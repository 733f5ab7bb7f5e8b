"""The tokens of a text in rows of cells, with a cursor. Draws what is visible, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual import events, on, work
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.shell.glyphs import Glyphs
from tui.shell.keys import KeyNames
from tui.tokens.looks import OVERLAYS, STYLES, RowLook, Window, row_looks, style_names
from tui.tokens.rows import RowLayout, row_layout
from tui.tokens.segmenting import Column

# Laying out this many takes a few milliseconds; more is done in a thread.
MAX_LAID_OUT_AT_ONCE = 20_000


_key = KeyNames("token").key


class TokenView(ScrollView, can_focus=True):
    """Tokens one after another. Neighbours differ by underline and by ground."""

    BINDING_GROUP_TITLE = "Tokens"
    HELP = """\
The text in the tokens of one tokenizer. Every second token is underlined, and grounds change from
token to token, so that borders are seen without colour. White space is shown as marks, bytes that
are no UTF-8 by themselves as \\xNN. Bold tokens lie where the tokenizers differ; in a conversation
bold tokens are those that the model learns. Arrows move the cursor, what it is on is told beside.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("left", "step(-1)", "Left", "left", "Go to the token before."),
        _key("right", "step(1)", "Right", "right", "Go to the token after."),
        _key("up", "row(-1)", "Up", "up", "Go a row up."),
        _key("down", "row(1)", "Down", "down", "Go a row down."),
        _key("pageup", "page(-1)", "Page up", "page_up", "Go a page up."),
        _key("pagedown", "page(1)", "Page down", "page_down", "Go a page down."),
        _key("home", "ends(0)", "First", "home", "Go to the first token."),
        _key("end", "ends(1)", "Last", "end", "Go to the last token."),
        _key("n", "difference(1)", "Diff", "next", "Go to the next difference.", is_shown=True),
        _key("p", "difference(-1)", "Diff before", "previous", "Go to the difference before."),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = set(STYLES)
    DEFAULT_CSS = """
    TokenView {
        &> .token--0 { background: $primary 28%; color: $text; }
        &> .token--1 { background: $success 24%; color: $text; }
        &> .token--2 { background: $accent 26%; color: $text; }
        &> .token--3 { background: $secondary 34%; color: $text; }
        &> .token--4 { background: $warning 18%; color: $text; }
        &> .token--special { color: $text-accent; text-style: italic; }
        &> .token--cut { color: $text-error; }
        &> .token--apart { color: $text-warning; text-style: bold; }
        &> .token--learned { background: $success 30%; color: $text; text-style: bold; }
        &> .token--context { background: $foreground 8%; color: $text-muted; }
        &> .token--cursor { text-style: reverse bold; }
        /* Sixteen colours do not blend: there the text has the colour, not the ground. */
        &:ansi > .token--0 { background: ansi_default; color: ansi_blue; }
        &:ansi > .token--1 { background: ansi_default; color: ansi_green; }
        &:ansi > .token--2 { background: ansi_default; color: ansi_magenta; }
        &:ansi > .token--3 { background: ansi_default; color: ansi_cyan; }
        &:ansi > .token--4 { background: ansi_default; color: ansi_yellow; }
        &:ansi > .token--learned { background: ansi_default; color: ansi_green; }
        &:ansi > .token--context { background: ansi_default; color: ansi_default; }
    }
    """

    @dataclass
    class Moved(Message):
        """The cursor is on another token."""

        view: TokenView
        index: int

        @property
        def control(self) -> TokenView:
            """The view whose cursor moved."""
            return self.view

    @dataclass
    class LaidOut(Message):
        """The rows of a long text were found."""

        column: Column
        columns: int
        layout: RowLayout

    column: reactive[Column | None] = reactive(None, repaint=False)
    """What to show."""
    cursor: reactive[int] = reactive(0, repaint=False)
    """The token under the cursor."""

    def __init__(self, *, glyphs: Glyphs, number: int) -> None:
        super().__init__(id=f"tokens-{number}")
        self._glyphs = glyphs
        self._rows: RowLayout | None = None
        self._drawn: Column | None = None
        self._styles: dict[str, Style] = {}

    def watch_column(self) -> None:
        """Lay the new tokens out."""
        self.lay_out()

    def watch_cursor(self, before: int, now: int) -> None:
        """Show the token under the cursor; only two rows look different."""
        if self._rows is None or not self._rows.num_rows:
            return
        row = self._rows.row_of(now)
        self.refresh_line(self._rows.row_of(before))
        self.refresh_line(row)
        self.scroll_to_region(Region(0, row, 1, 1), animate=False, force=True)

    def on_resize(self, event: events.Resize) -> None:
        """Lay out for the new width."""
        self.lay_out()

    def notify_style_update(self) -> None:
        """Take the colours of a new theme."""
        super().notify_style_update()
        self._styles = {}

    def lay_out(self) -> None:
        """Find the rows: at once, or in a thread when there are many tokens."""
        column, columns = self.column, self.scrollable_content_region.width
        if column is None or columns < 2:
            return
        if column.rows.num_tokens <= MAX_LAID_OUT_AT_ONCE:
            self._take(column, _layout_of(column, columns))
        else:
            self.lay_out_aside(column, columns)

    @work(thread=True, exclusive=True, exit_on_error=False, group="lay-out")
    def lay_out_aside(self, column: Column, columns: int) -> None:
        """Find the rows of a long text."""
        self.post_message(self.LaidOut(column, columns, _layout_of(column, columns)))

    @on(LaidOut)
    def take_layout(self, message: LaidOut) -> None:
        """Show the rows, unless text or width have changed meanwhile."""
        message.stop()
        if message.column is self.column:
            if message.columns == self.scrollable_content_region.width:
                self._take(message.column, message.layout)
            else:
                self.lay_out()

    def move_to(self, index: int) -> None:
        """Put the cursor on a token, without a message."""
        last = self._drawn.rows.num_tokens - 1 if self._drawn else 0
        self.cursor = min(max(index, 0), max(last, 0))

    def render_line(self, y: int) -> Strip:
        """Return the row at `y` of the visible part."""
        width = self.scrollable_content_region.width
        row = y + int(self.scroll_offset.y)
        if self._drawn is None or self._rows is None or row >= self._rows.num_rows:
            return Strip.blank(width, self._ground_style())
        strip = Strip(self._segments(self._drawn, self._rows, row))
        if strip.cell_length > width:
            mark = Segment(self._glyphs.ellipsis, self._ground_style())
            strip = Strip([*strip.crop(0, width - 1), mark])
        return strip.adjust_cell_length(width, self._ground_style())

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the token that was clicked."""
        row = event.y + int(self.scroll_offset.y)
        if self._drawn is None or self._rows is None or row >= self._rows.num_rows:
            return
        first, end = self._rows.span(row)
        widths, _ = self._drawn.vocabulary.cells.measure(self._drawn.rows.ids[first:end])
        place = int(np.searchsorted(np.cumsum(widths), event.x, side="right"))
        self._go(min(first + place, end - 1))

    def action_step(self, by: int) -> None:
        """Go to a neighbour."""
        self._go(self.cursor + by)

    def action_row(self, by: int) -> None:
        """Go to the token above or below."""
        self._go_rows(by)

    def action_page(self, by: int) -> None:
        """Go as many rows as are visible."""
        self._go_rows(by * max(self.size.height - 1, 1))

    def action_ends(self, is_last: int) -> None:
        """Go to the first or the last token."""
        if self._drawn is not None:
            self._go(self._drawn.rows.num_tokens - 1 if is_last else 0)

    def action_difference(self, by: int) -> None:
        """Go where the tokenizers differ next, round the end."""
        if self._drawn is None or self._drawn.differences is None:
            return
        differences = self._drawn.differences
        if not len(differences):
            return
        here = int(self._drawn.rows.starts[self.cursor])
        if by > 0:
            place = int(np.searchsorted(differences, here, side="right"))
        else:
            place = int(np.searchsorted(differences, here, side="left")) - 1
        offset = int(differences[place % len(differences)])
        self._go(self._drawn.rows.index_near(offset))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out differences where nothing is compared."""
        is_compared = self.column is not None and self.column.differences is not None
        return is_compared or action != "difference"

    def _go(self, index: int) -> None:
        if self._drawn is None or not self._drawn.rows.num_tokens:
            return
        before = self.cursor
        self.move_to(index)
        if self.cursor != before:
            self.post_message(self.Moved(self, self.cursor))

    def _go_rows(self, by: int) -> None:
        rows = self._rows
        if rows is None or not rows.num_rows:
            return
        here = rows.row_of(self.cursor)
        first, end = rows.span(min(max(here + by, 0), rows.num_rows - 1))
        self._go(min(first + self.cursor - rows.span(here)[0], end - 1))

    def _take(self, column: Column, rows: RowLayout) -> None:
        """Show other tokens; of the visible rows, only those that changed are drawn again."""
        before = self._looks()
        self._drawn, self._rows = column, rows
        self.virtual_size = Size(self.scrollable_content_region.width, rows.num_rows)
        self.move_to(self.cursor)
        top = int(self.scroll_offset.y)
        for place, (old, new) in enumerate(zip(before, self._looks(), strict=True)):
            if old != new:
                self.refresh_line(top + place)

    def _looks(self) -> list[RowLook]:
        width, height = self.scrollable_content_region.size
        window = Window(top=int(self.scroll_offset.y), height=height, width=width)
        return row_looks(self._drawn, self._rows, window, self.cursor)

    def _segments(self, column: Column, rows: RowLayout, row: int) -> list[Segment]:
        text = column.vocabulary.cells.text
        first, end = rows.span(row)
        places = rows.places[first:end].tolist()
        return [
            Segment(text(token_id), self._style(column, first + offset, places[offset]))
            for offset, token_id in enumerate(column.rows.ids[first:end].tolist())
        ]

    def _style(self, column: Column, index: int, place: int) -> Style:
        names = style_names(column, index, place, self.cursor)
        return self._combined(names, is_odd=bool(place % 2))

    def _ground_style(self) -> Style:
        """Return the style of empty cells; to find it takes longer than to draw a row."""
        if "ground" not in self._styles:
            self._styles["ground"] = self.rich_style
        return self._styles["ground"]

    def _combined(self, names: tuple[str, ...], *, is_odd: bool) -> Style:
        key = f"{is_odd} {' '.join(names)}"
        if key not in self._styles:
            # The last ground wins, blended with what is below it; the rest is laid over it.
            grounds = [name for name in names if name not in OVERLAYS]
            style = self.get_component_rich_style(grounds[-1])
            for name in names:
                if name in OVERLAYS:
                    style += self.get_component_rich_style(name, partial=True)
            self._styles[key] = style + Style(underline=is_odd)
        return self._styles[key]


def _layout_of(column: Column, columns: int) -> RowLayout:
    widths, is_last = column.vocabulary.cells.measure(column.rows.ids)
    return row_layout(widths, is_last, columns)
