"""One answer, coloured by how unsure the model was at each token; it follows its own end."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.answering.answers import Answer, TokenText
from tui.answering.rows import AnswerRows
from tui.shell.tones import LEVEL_TONES, TONE_CLASSES, TONE_CSS
from tui.widgets.toned import ink

# What a stretch can be beside having a tone.
MARK, CURSOR = "mark", "cursor"
HELP = """\
An answer as it arrives. Its colour says how unsure the model was of each token: plain under 1 bit
of entropy, then blue, green, underlined amber from 3 bits and bold underlined red from 4 bits on;
the bars below say the same without colour. Where it first departs from the first column it is
reversed. What a tool wrote is in italics. A click on a token, or the comma and full stop keys, put
the cursor on it: what else the model thought of there stands below.
"""


class AnswerView(ScrollView, can_focus=True):
    """The text of one answer; only what is new is laid out again."""

    BINDING_GROUP_TITLE = "Answer"
    HELP = HELP
    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES, "tone--mark", "tone--cursor"}
    DEFAULT_CSS = (
        "AnswerView {"
        + TONE_CSS
        + """
        &> .tone--mark { text-style: reverse bold; }
        &> .tone--cursor { background: $accent; color: $background; text-style: bold; }
        &:ansi > .tone--cursor { text-style: reverse bold underline; }
    }
    """
    )

    class Picked(Message):
        """A token was clicked; `index` is its place among the texts of the answer."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    cursor: reactive[int | None] = reactive(None)
    """The place of the token under the cursor among the texts of the answer."""

    def __init__(self) -> None:
        super().__init__()
        self._answer: Answer | None = None
        self._mark: int | None = None
        self._is_coloured = True
        self._rows = AnswerRows(1)
        self._num_fed = 0
        self._has_problem = False
        self._is_following = True

    def show(self, answer: Answer | None, *, mark: int | None, is_coloured: bool) -> None:
        """Show an answer; `mark` is the token that is the first to differ."""
        known = (self._answer, self._mark, self._is_coloured)
        if known != (answer, mark, is_coloured):
            if self._answer is not answer:
                self._is_following = True
            self._answer, self._mark, self._is_coloured = answer, mark, is_coloured
            self._start_over()
        self._feed()

    def on_resize(self, event: events.Resize) -> None:
        """Wrap to the new width."""
        self._start_over()
        self._feed()

    def watch_cursor(self) -> None:
        """Show the token under the cursor."""
        found = [] if self.cursor is None else self._rows.rows_of(self.cursor)
        if found:
            region = Region(0, found[0], 1, len(found))
            self.scroll_to_region(region, animate=False, force=True)

    def on_click(self, event: events.Click) -> None:
        """Tell which token was clicked."""
        index = self._rows.token_at(event.y + int(self.scroll_offset.y), event.x)
        if index is not None:
            self.post_message(self.Picked(index))

    def watch_show_vertical_scrollbar(self) -> None:
        """Wrap again when a scrollbar has come or gone: no resize tells of it."""
        self.call_after_refresh(self._wrap_again)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow the end from the moment that someone scrolls there."""
        super().watch_scroll_y(old_value, new_value)
        self._is_following = new_value >= self.max_scroll_y

    def render_line(self, y: int) -> Strip:
        """Return the row at `y` of the visible part."""
        width = self.scrollable_content_region.width
        row = y + int(self.scroll_offset.y)
        segments = []
        if row < len(self._rows.rows):
            segments = [
                Segment(stretch.text, self._style(CURSOR if stretch.is_marked else stretch.kind))
                for stretch in self._rows.runs(row, self.cursor)
            ]
        strip = Strip(segments).adjust_cell_length(width, self.rich_style)
        return strip.apply_style(self.rich_style)

    def _wrap_again(self) -> None:
        if self._rows.width != max(self.scrollable_content_region.width, 1):
            self._start_over()
            self._feed()

    def _start_over(self) -> None:
        self._rows = AnswerRows(max(self.scrollable_content_region.width, 1))
        self._num_fed = 0
        self._has_problem = False

    def _feed(self) -> None:
        answer = self._answer
        tokens = [] if answer is None else answer.tokens
        for index in range(self._num_fed, len(tokens)):
            self._rows.feed(tokens[index].text, self._kind(index, tokens[index]), index)
        self._num_fed = len(tokens)
        if answer is not None and answer.problem and not self._has_problem:
            self._has_problem = True
            self._rows.feed(f"\n\n{answer.problem}" if tokens else answer.problem, "error")
        self.virtual_size = Size(self._rows.width, len(self._rows.rows))
        if self._is_following and self.cursor is None:
            self.scroll_end(animate=False)
        self.refresh()

    def _kind(self, index: int, token: TokenText) -> str:
        if index == self._mark:
            return MARK
        if token.is_tool:
            return "tool"
        if token.level is None or not self._is_coloured:
            return "plain"
        return LEVEL_TONES[token.level]

    def _style(self, kind: str) -> Style:
        return ink(self.get_component_rich_style(f"tone--{kind}"))
