"""The row of section names of a page, with the number key of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.message import Message
from textual.reactive import reactive

from tui.shell.tones import Piece, ToneLine
from tui.widgets.toned import TonedWidget


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionName:
    """A section: its name, and the shorter one for a narrow terminal."""

    name: str
    short: str


class SectionBar(TonedWidget):
    """Which sections there are and which one is shown."""

    @dataclass
    class Picked(Message):
        """The person clicked on a section."""

        name: str

    selected: reactive[str] = reactive("")
    """The section that is shown."""

    def __init__(self, names: Sequence[SectionName], *, widget_id: str = "sections") -> None:
        super().__init__(id=widget_id)
        self._names = tuple(names)

    def render(self) -> Text:
        """Return the names; the chosen one stands in brackets and stronger."""
        labels, gap = self._labels()
        pieces: list[Piece] = []
        before = False
        for name, label in labels:
            is_selected = name == self.selected
            # A bracket takes the place of a space, so that nothing moves.
            space = gap if pieces else 1
            closing = "]" if before else ""
            opening = "[" if is_selected else ""
            blank = " " * max(space - len(closing) - len(opening), 0)
            pieces.append(Piece(closing, "active"))
            pieces.append(Piece(blank + opening, "active"))
            pieces.append(Piece(label, "active" if is_selected else "quiet"))
            before = is_selected
        pieces.append(Piece("]" if before else "", "active"))
        return self.toned(ToneLine(tuple(pieces)))

    def on_click(self, event: events.Click) -> None:
        """Tell which section was clicked on."""
        labels, gap = self._labels()
        end = 1
        for name, label in labels:
            end += len(label) + gap
            if event.x < end:
                self.post_message(self.Picked(name))
                return

    def _labels(self) -> tuple[list[tuple[str, str]], int]:
        """Return the labels by name and the spaces between them, as the width allows."""
        full = [f"{number} {one.name}" for number, one in enumerate(self._names, start=1)]
        short = [f"{number} {one.short}" for number, one in enumerate(self._names, start=1)]
        for texts, gap in ((full, 3), (full, 2), (full, 1), (short, 1)):
            if sum(len(text) + gap for text in texts) <= self.size.width:
                break
        return [(one.name, text) for one, text in zip(self._names, texts, strict=True)], gap
