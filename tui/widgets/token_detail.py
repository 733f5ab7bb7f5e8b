"""What is known of the token under the cursor."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.reactive import reactive

from tui.shell.tones import Piece, ToneLine
from tui.widgets.toned import TonedWidget

_NOTHING = (
    ToneLine((Piece("Tab to the tokens and move the cursor: all about it here.", "quiet"),)),
)


class DetailText(TonedWidget):
    """The lines themselves."""

    lines: reactive[tuple[ToneLine, ...]] = reactive(_NOTHING)
    """What to say."""

    def watch_lines(self, before: tuple[ToneLine, ...], now: tuple[ToneLine, ...]) -> None:
        """Ask for room where the number of lines has changed: it lays out the whole screen."""
        if len(before) != len(now):
            self.refresh(layout=True)

    def render(self) -> Text:
        """Return the lines."""
        return self.toned(*self.lines)


class TokenDetail(VerticalScroll, can_focus=True):
    """The id, bytes, place, corpus count, merge tree and merges of one token."""

    BINDING_GROUP_TITLE = "Token"
    HELP = """\
The token under the cursor: its id (which is its rank: low ranks merge first), its bytes, where it
stands, why it is not one with the next, how often it occurs in the corpus of the lab home, the tree
of merges that makes it, and the merges of its word in the order in which the encoder makes them.
"""

    def __init__(self) -> None:
        super().__init__()
        self._text = DetailText()

    def compose(self) -> ComposeResult:
        """Return the text."""
        yield self._text

    def show(self, lines: tuple[ToneLine, ...]) -> None:
        """Show another token."""
        self._text.lines = lines
        self.scroll_home(animate=False)
