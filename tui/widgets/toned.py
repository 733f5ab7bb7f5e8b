"""Widgets that draw a few lines of toned text."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from tui.shell.tones import TONE_CLASSES, TONE_CSS, Piece, ToneLine


class TonedWidget(Widget):
    """A widget whose content is a few lines of toned text."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    DEFAULT_CSS = "TonedWidget { height: auto; " + TONE_CSS + "}"

    _tone_styles: dict[str, Style] | None = None

    def notify_style_update(self) -> None:
        """Take the colours of a new theme."""
        super().notify_style_update()
        self._tone_styles = None

    def toned(self, *lines: ToneLine) -> Text:
        """Return the lines as one text, in the colours of the theme."""
        # Asking for a style costs more than drawing with it.
        styles = self._tone_styles = self._tone_styles or {}
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        for place, line in enumerate(lines):
            if place:
                text.append("\n")
            for piece in line.pieces:
                style = styles.get(piece.tone)
                if style is None:
                    style = self.get_component_rich_style(f"tone--{piece.tone}")
                    styles[piece.tone] = style
                text.append(piece.text, style)
        return text


class TonedLines(TonedWidget):
    """A few lines that whoever owns the widget gives it."""

    lines: reactive[tuple[ToneLine, ...]] = reactive((), layout=True)
    """What to show."""

    def render(self) -> Text:
        """Return the lines."""
        return self.toned(*self.lines)


def ink(style: Style) -> Style:
    """Return a style without its ground, so that text shows what it lies on.

    A partial component style would not do: $text is chosen by contrast, and without a ground to
    contrast with it is white in every theme.
    """
    return style.without_color + Style(color=style.color)


def spread(left: tuple[Piece, ...], right: tuple[Piece, ...], width: int) -> ToneLine:
    """Return a line with pieces at both ends; what does not fit on the right is left out."""
    left_width = sum(len(piece.text) for piece in left)
    while right and left_width + 2 + sum(len(piece.text) for piece in right) > width:
        right = right[:-1]
    gap = width - left_width - sum(len(piece.text) for piece in right)
    return ToneLine((*left, Piece(" " * max(gap, 0)), *right))
