"""The filter of the dashboard: typed, answered by a thread worker, shown in the table.

One worker at a time; what was typed while it was busy is asked when it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from textual import getters, on, work

from runs.paths import LabHome
from runs.views.run_view import RunView
from tui.listing.filtering import FilterDesk, Passing
from tui.listing.messages import FilterDone, Filtered, Suggested
from tui.screens.dashboard_actions import RunActions
from tui.shell.environment import Environment
from tui.widgets.filter_line import FilterLine
from tui.widgets.runs_table import RunsTable

# News of the runs are filtered at most at one part in so many of a processor.
FILTER_SHARE = 20
# A filter that takes longer than this says that it is at work.
PATIENCE_S = 0.3


class RunFiltering(RunActions):
    """Runs of which only some may be shown."""

    filter_line = getters.query_one(FilterLine)
    table = getters.query_one(RunsTable)

    def __init__(
        self, *, home: LabHome, environment: Environment, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(home=home, environment=environment, clock=clock)
        self.runs: tuple[RunView, ...] = ()
        self._desk = FilterDesk()
        self._passing: Passing | None = None
        self._wish: tuple[str, int] = ("", 0)
        self._serial = 0
        self._is_filtering = False
        self._next_filter_s = 0.0

    @property
    def is_filtering(self) -> bool:
        """Whether a filter has not been answered yet."""
        return self._is_filtering

    @property
    def passing_paths(self) -> frozenset[Path] | None:
        """The runs that pass; None while there is no filter."""
        return self._passing.paths if self._passing is not None else None

    def arrange_rows(self) -> None:
        """Show the runs that pass; the screen knows how."""

    def filter_news(self) -> None:
        """Filter runs that have changed, unless that was done a moment ago."""
        if self._wish[0] and time.monotonic() >= self._next_filter_s:
            self._filter_again()

    def count_passing(self) -> None:
        """Show how many runs pass."""
        paths = self.passing_paths
        told = "" if paths is None else f"{len(paths):,} of {len(self.runs):,} runs"
        self.filter_line.count = told

    # Without a description Textual makes one of all arguments, a thousand runs among them.
    @work(thread=True, exclusive=True, exit_on_error=False, group="filter", description="filter")
    def filter_runs(self, serial: int, text: str, cursor: int, runs: tuple[RunView, ...]) -> None:
        """Tell which runs pass, and what may come next."""
        began_s = time.thread_time()
        try:
            self._desk.take(runs, self.clock())
            passing = self._desk.passing(text, lambda: serial != self._serial)
            if passing is not None:
                self.post_message(Filtered(serial, passing, time.thread_time() - began_s))
                if self.filter_line.field.has_focus:
                    self.post_message(Suggested(serial, self._desk.suggestions(text, cursor)))
        except Exception as error:
            self.post_message(FilterDone(serial, f"cannot filter: {error}"))
        else:
            self.post_message(FilterDone(serial))

    @on(FilterLine.Changed)
    def take_filter(self, message: FilterLine.Changed) -> None:
        """Show the runs that pass what was typed."""
        wish = (message.text, message.cursor)
        if not message.text.strip():
            self._wish, self._passing = ("", 0), None
            self._serial += 1
            self.filter_line.show_problem("")
            self.filter_line.show_suggestions(())
            self.arrange_rows()
        elif wish != self._wish:
            self._wish = wish
            self._filter_again()
            self.set_timer(PATIENCE_S, self._show_patience)

    @on(Filtered)
    def show_passing(self, message: Filtered) -> None:
        """Show which runs pass; what cannot be read leaves the table as it was."""
        self._next_filter_s = time.monotonic() + FILTER_SHARE * message.cost_s
        if message.serial != self._serial:
            return
        self.filter_line.show_problem(message.passing.problem)
        if message.passing.paths is not None:
            self._passing = message.passing
            self.arrange_rows()
        self.count_passing()

    @on(Suggested)
    def show_suggestions(self, message: Suggested) -> None:
        """Offer what may come next."""
        if message.serial == self._serial:
            self.filter_line.show_suggestions(message.suggestions)

    @on(FilterDone)
    def go_on_filtering(self, message: FilterDone) -> None:
        """Take the next wish, if there was one meanwhile."""
        self._is_filtering = False
        if message.problem:
            self.filter_line.show_problem(message.problem)
        elif message.serial != self._serial and self._wish[0]:
            self._filter_again()

    @on(FilterLine.Closed)
    def leave_filter(self) -> None:
        """Give the keys to the runs."""
        self.table.focus()

    def action_filter(self) -> None:
        """Type a filter."""
        self.filter_line.open()

    def action_clear_filter(self) -> None:
        """Take the filter away, if there is one."""
        if self.filter_line.text:
            self.filter_line.clear()

    def _filter_again(self) -> None:
        self._serial += 1
        if not self._is_filtering:
            self._is_filtering = True
            self.filter_runs(self._serial, *self._wish, self.runs)

    def _show_patience(self) -> None:
        if self._is_filtering:
            self.filter_line.count = "reading the runs ..."
