"""The upper half of the dashboard: every run, kept true, filtered, sorted, grouped and marked.

Thread workers read files and post messages; the handlers here own every change of the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from textual import getters, on, work
from textual.screen import ModalScreen
from textual.timer import Timer

from runs.paths import LabHome
from runs.query import RunView
from runs.states import ACTIVE
from tui.listing.arrange import Arrangement, arrange, next_grouping
from tui.listing.columns import first_order, next_order, turned
from tui.listing.filtering import FilterDesk, Passing
from tui.listing.messages import FilterDone, Filtered, Suggested
from tui.listing.roster import Roster
from tui.live.messages import ActionDone, RunsFailed, RunsListed
from tui.screens.dashboard_actions import RunActions
from tui.shell.environment import Environment
from tui.widgets.filter_line import FilterLine
from tui.widgets.run_header import TopBar
from tui.widgets.runs_table import RunsTable

LIST_S = 1.0
# A kill must be seen within five seconds, also where a look takes long.
MAX_LIST_S = 4.0
# Looking takes at most one part in so many of a processor.
LIST_SHARE = 60
FILTER_SHARE = 20
# A filter that takes longer than this says that it is at work.
PATIENCE_S = 0.3
NO_PASS = "No run passes this filter; Esc clears it."


class RunListing(RunActions):
    """The table of the runs of a lab home, with its filter, order, groups and marks."""

    top = getters.query_one(TopBar)
    filter_line = getters.query_one(FilterLine)
    table = getters.query_one(RunsTable)

    def __init__(
        self, *, home: LabHome, environment: Environment, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(home=home, environment=environment, clock=clock)
        self.runs: tuple[RunView, ...] = ()
        self.by_path: dict[Path, RunView] = {}
        self.has_listed = False
        self.num_unread = 0
        self.marked: tuple[Path, ...] = ()
        self._roster = Roster(home)
        self._desk = FilterDesk()
        self._is_listing = False
        self._next_list_s = 0.0
        self._touched: frozenset[Path] = frozenset()
        self._arrangement = Arrangement()
        self._passing: Passing | None = None
        self._wish: tuple[str, int] = ("", 0)
        self._serial = 0
        self._is_filtering = False
        self._next_filter_s = 0.0
        self._looking: list[Timer] = []

    def start_timers(self, *more: Timer) -> None:
        """Begin to look at the runs; `more` rest with the looking while nobody sees it."""
        self._looking = [self.set_interval(LIST_S / 4, self._list_when_due), *more]
        self.list_again()

    @property
    def is_seen(self) -> bool:
        """Whether nothing but questions lies over this screen."""
        stack = self.app.screen_stack
        return self in stack and all(
            isinstance(screen, ModalScreen) for screen in stack[stack.index(self) + 1 :]
        )

    @property
    def is_filtering(self) -> bool:
        """Whether a filter has not been answered yet."""
        return self._is_filtering

    def on_screen_suspend(self) -> None:
        """Rest while another view or screen covers this one."""
        if not self.is_seen:
            for timer in self._looking:
                timer.pause()

    def on_screen_resume(self) -> None:
        """Catch up with what happened meanwhile."""
        for timer in self._looking:
            timer.resume()
        if self._looking:
            self.list_again()

    def known_runs(self) -> tuple[RunView, ...]:
        """Return every run."""
        return self.runs

    def marked_runs(self) -> tuple[RunView, ...]:
        """Return the marked runs, newest first."""
        return tuple(run for run in self.runs if run.path in self.marked)

    def list_again(self) -> None:
        """Look at the lab home, unless the last look still goes on."""
        if not self._is_listing:
            self._is_listing = True
            self.read_runs(self._touched)
            self._touched = frozenset()

    @work(thread=True, exclusive=True, exit_on_error=False, group="runs")
    def read_runs(self, touched: frozenset[Path]) -> None:
        """Tell the state of every run."""
        began_s = time.thread_time()
        try:
            roll = self._roster.look(touched)
        except Exception as error:
            self.post_message(RunsFailed(f"cannot read {self.home.runs_dir}: {error}"))
        else:
            cost_s = time.thread_time() - began_s
            self.post_message(RunsListed(roll.runs, roll.num_unread, cost_s))

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

    @on(RunsListed)
    def show_runs(self, message: RunsListed) -> None:
        """Show every run."""
        self._is_listing = False
        self.has_listed = True
        pause_s = min(max(LIST_S, message.cost_s * LIST_SHARE), MAX_LIST_S)
        self._next_list_s = time.monotonic() + (0.0 if message.num_unread else pause_s)
        has_changed = message.runs is not self.runs
        self.runs, self.num_unread = message.runs, message.num_unread
        self.top.problem = ""
        self.top.num_unread = message.num_unread
        self.table.now = self.clock()
        if has_changed:
            self.by_path = {run.path: run for run in self.runs}
            self.top.states = tuple(run.state for run in self.runs)
            self.top.num_alerted = sum(
                run.num_alerts > 0 for run in self.runs if run.state in ACTIVE
            )
            if not message.num_unread and not self.by_path.keys() >= set(self.marked):
                self.mark(tuple(path for path in self.marked if path in self.by_path))
            self._arrange()
            if self._wish[0] and time.monotonic() >= self._next_filter_s:
                self._filter_again()
        else:
            self.table.redraw_changes()
        self.runs_shown()
        if message.num_unread:
            self.list_again()

    def runs_shown(self) -> None:
        """Go on with what depends on the runs; the screen knows what."""

    @on(RunsFailed)
    def show_listing_problem(self, message: RunsFailed) -> None:
        """Say why the runs are not to be seen."""
        self._is_listing = False
        self._next_list_s = time.monotonic() + LIST_S
        self.top.problem = message.problem

    @on(ActionDone)
    def tell_outcome(self, message: ActionDone) -> None:
        """Say how a request went, and look at what it changed."""
        self.tell(message.text, is_refused=message.is_refused)
        self._touched |= set(message.touched)
        self.list_again()

    @on(FilterLine.Changed)
    def take_filter(self, message: FilterLine.Changed) -> None:
        """Show the runs that pass what was typed."""
        wish = (message.text, message.cursor)
        if not message.text.strip():
            self._wish, self._passing = ("", 0), None
            self._serial += 1
            self.filter_line.show_problem("")
            self.filter_line.show_suggestions(())
            self._arrange()
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
            self._arrange()
        self._count()

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

    @on(RunsTable.MarkToggled)
    def toggle_mark(self, message: RunsTable.MarkToggled) -> None:
        """Mark a run, or no longer."""
        is_marked = message.path in self.marked
        kept = tuple(path for path in self.marked if path != message.path)
        self.mark(kept if is_marked else (*kept, message.path))

    @on(RunsTable.SortAsked)
    def sort_by(self, message: RunsTable.SortAsked) -> None:
        """Sort by the column: first its own way, then the other, then newest first again."""
        now, first = self._arrangement.order, first_order(message.key)
        if first is None:
            return
        if now is None or now.key != message.key:
            self._rearrange(Arrangement(order=first, grouping=self._arrangement.grouping))
        else:
            order = turned(now) if now == first else None
            self._rearrange(Arrangement(order=order, grouping=self._arrangement.grouping))

    def mark(self, marked: tuple[Path, ...]) -> None:
        """Mark exactly these runs."""
        self.marked = marked
        self.table.marked = frozenset(marked)
        self.top.num_marked = len(marked)
        self.marks_changed()

    def marks_changed(self) -> None:
        """Go on with what depends on the marks; the screen knows what."""

    def action_filter(self) -> None:
        """Type a filter."""
        self.filter_line.open()

    def action_clear_filter(self) -> None:
        """Take the filter away, if there is one."""
        if self.filter_line.text:
            self.filter_line.clear()

    def action_group(self) -> None:
        """Group by the next thing, or not any more."""
        grouping = next_grouping(self._arrangement.grouping)
        self._rearrange(Arrangement(order=self._arrangement.order, grouping=grouping))

    def action_sort(self, by: int) -> None:
        """Sort by the next column, or the one before."""
        order = next_order(self._arrangement.order, by)
        self._rearrange(Arrangement(order=order, grouping=self._arrangement.grouping))

    def action_reverse(self) -> None:
        """Sort the other way round; newest first becomes oldest first."""
        order = self._arrangement.order or first_order("age")
        if order is not None:
            self._rearrange(Arrangement(order=turned(order), grouping=self._arrangement.grouping))

    def action_unmark(self) -> None:
        """Take all marks away."""
        self.mark(())

    def action_mark_all(self) -> None:
        """Mark every run that is listed."""
        listed = (row.path for row in self.table.rows if isinstance(row, RunView))
        self.mark(tuple(dict.fromkeys((*self.marked, *listed))))

    def _list_when_due(self) -> None:
        if time.monotonic() >= self._next_list_s and self.is_seen:
            self.list_again()

    def _rearrange(self, arrangement: Arrangement) -> None:
        self._arrangement = arrangement
        self.table.order = arrangement.order
        self._arrange()

    def _arrange(self) -> None:
        paths = self._passing.paths if self._passing is not None else None
        self.table.empty_text = NO_PASS if paths is not None else ""
        self.table.num_runs = len(self.runs)
        self.table.rows = arrange(self.runs, self._arrangement, paths)
        self._count()

    def _count(self) -> None:
        paths = self._passing.paths if self._passing is not None else None
        if paths is None:
            self.filter_line.count = ""
        else:
            self.filter_line.count = f"{len(paths):,} of {len(self.runs):,} runs"

    def _filter_again(self) -> None:
        self._serial += 1
        if not self._is_filtering:
            self._is_filtering = True
            self.filter_runs(self._serial, *self._wish, self.runs)

    def _show_patience(self) -> None:
        if self._is_filtering:
            self.filter_line.count = "reading the runs ..."
