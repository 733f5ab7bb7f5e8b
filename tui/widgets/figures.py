"""The newest numbers of the chosen stage, in two columns."""

from __future__ import annotations

from rich.text import Text
from textual.reactive import reactive

from tui.live.present import Figure
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, ToneLine
from tui.widgets.toned import TonedWidget

_LABEL_WIDTH = 8


class Figures(TonedWidget):
    """Named numbers; those that were never logged show as absent."""

    figures: reactive[tuple[Figure, ...]] = reactive(())
    """What to show, row by row."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="figures")
        self._glyphs = glyphs

    def watch_figures(self, before: tuple[Figure, ...], after: tuple[Figure, ...]) -> None:
        """Ask for another height only where there are more rows: a layout costs a whole frame."""
        if len(before) != len(after):
            self.refresh(layout=True)

    def render(self) -> Text:
        """Return the numbers, two to a line."""
        half = max(self.size.width // 2, 12)
        lines = []
        for place in range(0, len(self.figures), 2):
            left, right = self.figures[place : place + 2]
            lines.append(
                ToneLine((*self._pieces(left, half - 1), Piece(" "), *self._pieces(right, half)))
            )
        return self.toned(*lines)

    def _pieces(self, figure: Figure, width: int) -> tuple[Piece, Piece]:
        label = figure.label.ljust(_LABEL_WIDTH)
        value = figure.value or self._glyphs.absent
        return (
            Piece(label, "quiet"),
            Piece(value.rjust(max(width - _LABEL_WIDTH, 0)), "strong" if figure.value else "quiet"),
        )
