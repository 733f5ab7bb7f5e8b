"""The plan beside the launch form: what would run, what that takes, and how that is known."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.reactive import reactive

from tui.launch.examine import Examined
from tui.launch.figures import plan_lines
from tui.shell.glyphs import Glyphs
from tui.widgets.toned import TonedWidget


class PlanText(TonedWidget):
    """The text of a plan, as wide as it is given room."""

    examined: reactive[Examined | None] = reactive(None, layout=True)
    """What is known about the draft; None while the machine is looked at."""
    columns: reactive[int] = reactive(0, layout=True)
    """The width to wrap to."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="plan-text")
        self._glyphs = glyphs

    def render(self) -> Text:
        """Return the plan."""
        if self.examined is None:
            return Text("Looking at this machine ...", end="")
        return self.toned(*plan_lines(self.examined, max(self.columns, 10), self._glyphs))


class PlanView(VerticalScroll):
    """A scrolling plan."""

    BINDING_GROUP_TITLE = "Plan"
    HELP = """\
What the form comes to on this machine: the model, tokens, steps, time, memory, disk and dollars,
and beside or below them how each figure is known. A figure that this machine cannot hold is
called too much. Up and down scroll.
"""

    examined: reactive[Examined | None] = reactive(None)
    """What is known about the draft."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="launch-plan")
        self._text = PlanText(glyphs=glyphs)

    def compose(self) -> ComposeResult:
        """Return the text."""
        yield self._text

    def watch_examined(self) -> None:
        """Hand the plan down."""
        self._text.examined = self.examined

    def on_resize(self, event: events.Resize) -> None:
        """Wrap to the new width."""
        self._text.columns = self.scrollable_content_region.width
