"""The row of pane names, with the number key of each, and what the charts are drawn over."""

from __future__ import annotations

from rich.text import Text
from textual.reactive import reactive

from tui.charts.names import AXIS_LABELS, AxisName
from tui.shell.tones import Piece, Tone
from tui.widgets.toned import TonedWidget, spread

PANES = ("charts", "log", "samples", "checkpoints", "alerts")
_SHORT = {"samples": "texts", "checkpoints": "saved"}


class PaneBar(TonedWidget):
    """Which panes there are and which one is shown."""

    selected: reactive[str] = reactive(PANES[0])
    """The pane that is shown."""
    has_charts_pane: reactive[bool] = reactive(True)
    """Whether charts share the room with the other panes; else they are always visible."""
    counts: reactive[tuple[tuple[str, int], ...]] = reactive(())
    """How many entries some panes hold."""
    axis: reactive[AxisName] = reactive("step")
    """What the charts are drawn over."""
    page: reactive[tuple[int, int]] = reactive((0, 1))
    """Which page of charts is shown, from 0, and how many there are."""

    def __init__(self) -> None:
        super().__init__(id="panes-bar")

    def render(self) -> Text:
        """Return the names; the chosen one stands in brackets and stronger."""
        width = max(self.size.width, 20)
        for is_short in (False, True):
            names = self._names(is_short=is_short)
            if sum(len(piece.text) for piece in names) <= width:
                break
        return self.toned(spread(names, self._axis_pieces(), width))

    def _names(self, *, is_short: bool) -> tuple[Piece, ...]:
        counts = dict(self.counts)
        pieces = []
        for number, name in enumerate(PANES, start=1):
            if name == "charts" and not self.has_charts_pane:
                continue
            is_selected = name == self.selected
            is_alarming = name == "alerts" and counts.get(name)
            label = f"{number} {_SHORT.get(name, name) if is_short else name}"
            if counts.get(name) and (is_alarming or not is_short):
                label += f" {counts[name]}"
            text = f"[{label}]" if is_selected else f" {label} "
            if name == "charts" and self.page[1] > 1:
                text = f"{text.rstrip()} {self.page[0] + 1}/{self.page[1]} "
            if is_short:
                text = text.strip() + " "
            tone: Tone = "active" if is_selected else "warning" if is_alarming else "quiet"
            pieces.append(Piece(text, tone))
        return tuple(pieces)

    def _axis_pieces(self) -> tuple[Piece, ...]:
        text = f"x: {AXIS_LABELS[self.axis]} "
        if not self.has_charts_pane and self.page[1] > 1:
            text = f"1 charts {self.page[0] + 1}/{self.page[1]}   {text}"
        return (Piece(text, "quiet"),)
