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
        self._wrapped: dict[ToneLine, list[Strip]] = {}
        self._wrap_key: tuple[int, Style] | None = None
        self._is_following = True

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
        strip = self._rows[row] if row < len(self._rows) else Strip([])
        return strip.adjust_cell_length(width, self.rich_style).apply_style(self.rich_style)

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        if width < 4:
            return
        key = (width, self.rich_style)
        if key != self._wrap_key:
            self._wrap_key, self._wrapped = key, {}
        known = self._wrapped
        self._wrapped = {line: known.get(line) or self._wrap(line, width) for line in self.lines}
        self._rows = [strip for line in self.lines for strip in self._wrapped[line]]
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


class LogView(LinesView):
    """What happened in the run, and what its worker printed."""

    BINDING_GROUP_TITLE = "Log"
    HELP = """\
What happened in the run, newest last: starts, evaluations, checkpoints, alerts, notes, errors,
then what the worker of the chosen stage printed. Up, down, Page Up and Page Down scroll; End
follows the newest line again.
"""


class SamplesView(LinesView):
    """What the model wrote while it was trained."""

    BINDING_GROUP_TITLE = "Samples"
    HELP = """\
Texts that the model wrote at fixed prompts while it was trained, newest last, with the step.
Up, down, Page Up and Page Down scroll; End follows the newest again.
"""


class CheckpointsView(LinesView):
    """The checkpoints that were written."""

    BINDING_GROUP_TITLE = "Checkpoints"
    HELP = """\
The checkpoints that the stages wrote, newest last. Older ones of a stage may have been removed
to save room: a stage keeps as many as its setting keep_checkpoints says.
"""
