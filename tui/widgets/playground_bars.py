"""The lines above and below the playground: the lens, the size of the text, remarks, a legend."""

from __future__ import annotations

from rich.text import Text
from textual.reactive import reactive

from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, ToneLine
from tui.tokens.segmenting import LENSES, Lens, Look
from tui.widgets.toned import TonedWidget, spread


class PlaygroundTop(TonedWidget):
    """The lenses, the one in use in brackets, and the size of the text."""

    lens: reactive[Lens] = reactive("text")
    """Through what the text is seen."""
    look: reactive[Look | None] = reactive(None)
    """The text."""

    def __init__(self) -> None:
        super().__init__(id="top")

    def render(self) -> Text:
        """Return the line."""
        pieces = [Piece("playground ", "strong")]
        for lens in LENSES:
            is_chosen = lens == self.lens
            shown = f"[{lens}]" if is_chosen else f" {lens} "
            pieces.append(Piece(shown, "active" if is_chosen else "quiet"))
        sizes: tuple[Piece, ...] = ()
        if self.look is not None:
            chars = Piece(f"{self.look.num_chars:,} characters  ")
            sizes = (chars, Piece(f"{self.look.num_bytes:,} bytes", "quiet"))
        return self.toned(spread(tuple(pieces), sizes, self.size.width))


class Remark(TonedWidget):
    """What is to be noticed in the text; else the legend of the marks."""

    lens: reactive[Lens] = reactive("text")
    """Through what the text is seen."""
    look: reactive[Look | None] = reactive(None)
    """The text."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="remark")
        self._glyphs = glyphs

    def render(self) -> Text:
        """Return the line."""
        if self.lens == "languages":
            told = "tokens for the same content; x Eng: times those of English"
            return self.toned(ToneLine((Piece(told, "quiet"),)))
        if self.look is not None and self.look.remark:
            return self.toned(ToneLine((Piece(self.look.remark, "warning"),)))
        glyphs = self._glyphs
        marks = "underline: every second token"
        if self.look is not None and self.look.lens == "conversation":
            marks += "   bold: learned   grey: context"
        else:
            spaces = "" if glyphs.space == " " else f"   {glyphs.space} space"
            marks += f"{spaces}   {glyphs.line_feed} line   {glyphs.tab} tab   \\xNN no UTF-8 alone"
        return self.toned(ToneLine((Piece(marks, "quiet"),)))
