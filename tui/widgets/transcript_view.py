"""One conversation with a strip of entropies under every message, and a cursor over its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.selfchat.transcript_rows import Row, Script, Spot, moved, row_of
from tui.shell.glyphs import Glyphs
from tui.shell.tones import TONE_CLASSES, TONE_CSS
from tui.widgets.toned import ink

HELP = """\
One conversation. Under every message stands its strip: a bar per token, as high as the model's
entropy before it drew the token. Colours say the same a second time: plain under 1 bit, then blue,
green, underlined amber from 3 bits and bold underlined red from 4 bits on. Left and right move the
cursor from token to token, up and down from turn to turn; below stands what is known of the token.
Space plays the conversation again, plus and minus change the speed, comma and period go a token
back and on, g jumps to a turn.
"""


class TranscriptView(ScrollView, can_focus=True):
    """The messages; of a replay those that have been said by now."""

    BINDING_GROUP_TITLE = "Transcript"
    HELP = HELP
    COMPONENT_CLASSES: ClassVar[set[str]] = {*TONE_CLASSES, "transcript--cursor"}
    DEFAULT_CSS = (
        "TranscriptView { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1;"
        " &> .transcript--cursor { text-style: reverse; }" + TONE_CSS + "}"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "token(-1)", "Token", show=False, id="transcript.left",
                tooltip="Go to the token before."),
        Binding("right", "token(1)", "Token", show=False, id="transcript.right",
                tooltip="Go to the token after."),
        Binding("up", "turn(-1)", "Turn", show=False, id="transcript.up",
                tooltip="Go to the turn before."),
        Binding("down", "turn(1)", "Turn", show=False, id="transcript.down",
                tooltip="Go to the turn after."),
        Binding("home", "edge(0)", "First", show=False, id="transcript.first",
                tooltip="Go to the first token."),
        Binding("end", "edge(1)", "Last", show=False, id="transcript.last",
                tooltip="Go to the last token."),
    ]  # fmt: skip

    @dataclass
    class SpotChosen(Message):
        """A person went to a token."""

        spot: Spot

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="transcript")
        self._glyphs = glyphs
        self._script: Script | None = None
        self._limit: int | None = None
        self._spot: Spot | None = None
        self._rows: tuple[Row, ...] = ()

    def show(self, script: Script | None, *, limit: int | None, spot: Spot | None) -> None:
        """Show a conversation up to `limit` tokens, with the cursor on one."""
        is_other = script is not self._script
        is_same_talk = (
            is_other
            and script is not None
            and self._script is not None
            and script.conversation.number == self._script.conversation.number
        )
        is_moved = (limit, spot) != (self._limit, self._spot)
        if is_other or is_moved:
            self._script, self._limit, self._spot = script, limit, spot
            self._lay_out()
        if is_moved:
            # Only then: who scrolls away from the token is not brought back to it.
            self._bring_in_sight(spot)
        if is_other and not is_same_talk:
            self.scroll_home(animate=False)

    def on_resize(self, event: events.Resize) -> None:
        """Wrap to the new width."""
        self._lay_out()
        self._bring_in_sight(self._spot)

    def on_click(self, event: events.Click) -> None:
        """Go to the token under the mouse."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        row, left = offset.y + int(self.scroll_offset.y), 0
        for span in self._rows[row] if row < len(self._rows) else ():
            left += Segment(span.text).cell_length
            if offset.x < left:
                if span.turn is not None:
                    self.post_message(self.SpotChosen(Spot(span.turn, span.first)))
                return

    def action_token(self, by: int) -> None:
        """Go to another token."""
        if self._script is not None and self._script.lengths:
            here = self._spot or Spot(0, -1 if by > 0 else 0)
            self.post_message(self.SpotChosen(moved(self._script.lengths, here, by)))

    def action_turn(self, by: int) -> None:
        """Go to another turn."""
        if self._script is not None and self._script.lengths:
            here = -1 if self._spot is None else self._spot.turn
            place = min(max(here + by, 0), len(self._script.lengths) - 1)
            self.post_message(self.SpotChosen(Spot(place, 0)))

    def action_edge(self, is_last: int) -> None:
        """Go to the first or the last token."""
        if self._script is not None and self._script.lengths:
            by = sum(self._script.lengths) if is_last else -sum(self._script.lengths)
            self.post_message(self.SpotChosen(moved(self._script.lengths, Spot(0, 0), by)))

    def render_line(self, y: int) -> Strip:
        """Return the row at `y` of the visible part."""
        width = self.scrollable_content_region.width
        row = y + int(self.scroll_offset.y)
        segments = []
        for span in self._rows[row] if row < len(self._rows) else ():
            style = self._style(f"tone--{span.tone}")
            if span.holds(self._spot):
                style += self.get_component_rich_style("transcript--cursor", partial=True)
            segments.append(Segment(span.text, style))
        strip = Strip(segments).adjust_cell_length(width, self.rich_style)
        return strip.apply_style(self.rich_style)

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        if self._script is None or width < 1:
            self._rows = ()
        else:
            self._rows = self._script.rows(width, self._glyphs, self._limit)
        self.virtual_size = Size(max(width, 1), len(self._rows))
        self.refresh()

    def _bring_in_sight(self, spot: Spot | None) -> None:
        row = None if spot is None else row_of(self._rows, spot)
        if row is not None:
            # With the strip and the head of the message where there is room.
            self.scroll_to_region(Region(0, max(row - 1, 0), 1, 4), animate=False, force=True)

    def _style(self, name: str) -> Style:
        return ink(self.get_component_rich_style(name))
