"""The row of pane names, with the number key of each."""

from __future__ import annotations

from rich.text import Text
from textual.reactive import reactive

from tui.shell.tones import Piece, ToneLine
from tui.widgets.toned import TonedWidget

PANES = ("charts", "log", "samples", "checkpoints")


class PaneBar(TonedWidget):
    """Which panes there are and which one is shown."""

    selected: reactive[str] = reactive(PANES[0])
    """The pane that is shown."""
    has_charts_pane: reactive[bool] = reactive(True)
    """Whether charts share the room with the other panes; else they are always visible."""
    counts: reactive[tuple[tuple[str, int], ...]] = reactive(())
    """How many entries some panes hold."""

    def __init__(self) -> None:
        super().__init__(id="panes-bar")

    def render(self) -> Text:
        """Return the names; the chosen one stands in brackets and stronger."""
        counts = dict(self.counts)
        pieces = []
        for number, name in enumerate(PANES, start=1):
            if name == "charts" and not self.has_charts_pane:
                continue
            label = f"{number} {name}" + (f" {counts[name]}" if counts.get(name) else "")
            is_selected = name == self.selected
            text = f"[{label}]" if is_selected else f" {label} "
            pieces.append(Piece(text, "active" if is_selected else "quiet"))
        return self.toned(ToneLine(tuple(pieces)))
