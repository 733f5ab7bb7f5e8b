"""Panes whose lines can be chosen: the log, with search, the alerts and the checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import var

from tui.live.journal import step_of
from tui.widgets.lines_view import LinesView

_POINT = Binding(
    "enter", "point", "Point at it", id="lines.point", show=False,
    tooltip="Move the crosshair of the charts to the step of this line.",
)  # fmt: skip


class PointingView(LinesView):
    """Lines of which one is chosen while the pane has the focus; a line may tell of a step."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", id="lines.up", show=False,
                tooltip="Choose the line above."),
        Binding("down", "move(1)", "Down", id="lines.down", show=False,
                tooltip="Choose the line below."),
        Binding("pageup", "leap(-1)", "Page up", id="lines.page-up", show=False,
                tooltip="Go a page up."),
        Binding("pagedown", "leap(1)", "Page down", id="lines.page-down", show=False,
                tooltip="Go a page down."),
        Binding("home", "first", "First", id="lines.first", show=False,
                tooltip="Go to the first line."),
        Binding("end", "last", "Newest", id="lines.last", show=False,
                tooltip="Go to the newest line, and follow it."),
        _POINT,
    ]  # fmt: skip
    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--chosen", "lines--match"}
    DEFAULT_CSS = """
    PointingView {
        &> .lines--chosen { background: $primary 25%; }
        &> .lines--match { background: $warning 20%; text-style: underline; }
    }
    """

    @dataclass
    class Pointed(Message):
        """The person wants to see the step of a line in the charts."""

        step: float

    chosen: var[int | None] = var(None)
    """The line that was chosen; None is the newest one, whichever that is."""

    @property
    def chosen_line(self) -> int:
        """The place of the chosen line."""
        last = len(self.lines) - 1
        return last if self.chosen is None else min(self.chosen, last)

    def watch_lines(self) -> None:
        """Lay the lines out again; the chosen one stays the same line though older ones go."""
        if self.is_following and not self.has_focus:
            self.chosen = None
        super().watch_lines()

    def watch_chosen(self) -> None:
        """Show the chosen line."""
        self.refresh()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show the chosen line only while keys go here."""
        super().watch_has_focus(has_focus)
        self.refresh()

    def line_style(self, line: int) -> Style | None:
        """Set the chosen line apart."""
        if self.has_focus and line == self.chosen_line:
            return self.get_component_rich_style("lines--chosen", partial=True)
        return None

    def action_move(self, by: int) -> None:
        """Choose the line above or below."""
        self.choose(self.chosen_line + by)

    def action_leap(self, by: int) -> None:
        """Choose the line a page above or below."""
        self.choose(self.chosen_line + by * max(self.scrollable_content_region.height - 1, 1))

    def action_first(self) -> None:
        """Choose the first line."""
        self.choose(0)

    def action_last(self) -> None:
        """Choose the newest line and follow."""
        self.chosen = None
        self.scroll_end(animate=False, force=True)

    def action_point(self) -> None:
        """Ask the charts to show the step of the chosen line."""
        if self.lines:
            step = step_of(self.lines[self.chosen_line])
            if step is None:
                self.notify("This line tells of no step.", markup=False)
            else:
                self.post_message(self.Pointed(step))

    def on_click(self, event: events.Click) -> None:
        """Choose the line under the mouse, and point at its step."""
        line = self.line_at(event.y)
        if line is not None:
            self.choose(line)
            step = step_of(self.lines[line])
            if step is not None:
                self.post_message(self.Pointed(step))

    def choose(self, line: int) -> None:
        """Choose a line and bring it into sight."""
        line = min(max(line, 0), len(self.lines) - 1)
        is_newest = line >= len(self.lines) - 1
        self.chosen = None if is_newest else line
        if is_newest:
            self.scroll_end(animate=False, force=True)
        else:
            self.scroll_to_line(line)


class LogView(PointingView):
    """What happened in the run, and what its worker printed."""

    BINDING_GROUP_TITLE = "Log"
    HELP = """\
What happened in the run, newest last: starts, evaluations, checkpoints, alerts, notes, errors,
then what the worker of the chosen stage printed. Up and down choose a line, and Enter moves the
crosshair of the charts to its step. Slash searches, n and N go from match to match; End follows
the newest line again.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", key_display="/", id="log.search",
                tooltip="Search the log."),
        Binding("n", "match(1)", "Next match", id="log.next", show=False,
                tooltip="Go to the next line that matches the search."),
        Binding("N", "match(-1)", "Match before", id="log.previous", show=False,
                tooltip="Go to the line before that matches the search."),
    ]  # fmt: skip

    @dataclass
    class SearchWanted(Message):
        """The person wants to type what to search for."""

    sought: var[str] = var("")
    """What is searched for, in any case; empty is no search."""

    def watch_sought(self) -> None:
        """Mark the matches."""
        self.refresh()

    @property
    def matches(self) -> list[int]:
        """The lines that match."""
        wanted = self.sought.casefold()
        if not wanted:
            return []
        return [place for place, line in enumerate(self.lines) if wanted in line.text.casefold()]

    def line_style(self, line: int) -> Style | None:
        """Set the chosen line and those that match apart."""
        wanted = self.sought.casefold()
        own = super().line_style(line)
        if wanted and wanted in self.lines[line].text.casefold():
            match = self.get_component_rich_style("lines--match", partial=True)
            return match if own is None else match + own
        return own

    def action_search(self) -> None:
        """Ask what to search for."""
        self.post_message(self.SearchWanted())

    def action_match(self, by: int) -> None:
        """Go to the next match in a direction; after the last comes the first."""
        matches = self.matches
        if not matches:
            self.notify(
                f"No line matches {self.sought!r}." if self.sought else "Press / to search.",
                markup=False,
            )
            return
        here = self.chosen_line
        if by > 0:
            self.choose(next((line for line in matches if line > here), matches[0]))
        else:
            self.choose(next((line for line in reversed(matches) if line < here), matches[-1]))

    def seek(self) -> None:
        """Choose the newest match that is at or before the chosen line, else the last one."""
        matches = self.matches
        if matches:
            here = self.chosen_line
            self.choose(next((line for line in reversed(matches) if line <= here), matches[-1]))


class CheckpointsView(PointingView):
    """The checkpoints that were written."""

    BINDING_GROUP_TITLE = "Checkpoints"
    HELP = """\
The checkpoints that the stages wrote, newest last. Those that are no longer on disk are marked
removed: a stage keeps as many as its setting keep_checkpoints says, and the best one. Enter
moves the crosshair of the charts to the step of one.
"""


class AlertsView(PointingView):
    """What went wrong in the run."""

    BINDING_GROUP_TITLE = "Alerts"
    HELP = """\
What went wrong in the run, newest last, as `labcli runs alerts` tells it: numbers that are not
finite, jumps of the loss, plateaus, drops of speed, stages that hang, full disks. Enter moves
the crosshair of the charts to the step of one.
"""
