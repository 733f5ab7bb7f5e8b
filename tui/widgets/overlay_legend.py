"""Which letter and colour each of the overlaid runs has in the charts."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.reactive import reactive

from tui.charts.data import NUM_RUN_TONES, LegendEntry
from tui.charts.sheet import run_style
from tui.shell.tones import RUN_CSS
from tui.widgets.toned import TonedWidget


class OverlayLegend(TonedWidget):
    """One line; it is there only while runs lie over each other."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"chart--run-{place}" for place in range(NUM_RUN_TONES)
    }
    DEFAULT_CSS = (
        """
    OverlayLegend {
        height: 1; padding: 0 1; display: none;
        &.-overlaid { display: block; }
    """
        + RUN_CSS
        + """
    }
    """
    )

    entries: reactive[tuple[LegendEntry, ...]] = reactive(())
    """The runs that lie over each other."""

    def __init__(self) -> None:
        super().__init__(id="overlay-legend")

    def watch_entries(self, entries: tuple[LegendEntry, ...]) -> None:
        """Give the room back where there is nothing to tell apart."""
        self.set_class(len(entries) > 1, "-overlaid")

    def render(self) -> Text:
        """Return letter and name of each run, names as long as there is room for."""
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        room = self.size.width // max(len(self.entries), 1) - 4
        for entry in self.entries:
            style = self.get_component_rich_style(run_style(entry.run))
            text.append(f"{entry.letter} ", style)
            text.append(entry.name[: max(room, 4)], style)
            text.append("  ")
        return text
