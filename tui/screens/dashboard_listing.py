"""The upper half of the dashboard: every run, kept true, sorted, grouped and marked.

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
from runs.views.run_view import RunView
from runs.views.states import ACTIVE
from tui.listing.arrange import Arrangement, arrange, next_grouping
from tui.listing.columns import first_order, next_order, turned
from tui.listing.roster import Roster
from tui.live.messages import ActionDone, RunsFailed, RunsListed
from tui.screens.dashboard_filter import RunFiltering
from tui.shell.environment import Environment
from tui.widgets.run_header import TopBar
from tui.widgets.runs_table import RunsTable

LIST_S = 1.0
# A kill must be seen within five seconds, also where a look takes long.
MAX_LIST_S = 4.0
# Looking takes at most one part in so many of a processor.
LIST_SHARE = 60
NO_PASS = "No run passes this filter; Esc clears it."


class RunListing(RunFiltering):
    """The table of the runs of a lab home, with its filter, order, groups and marks."""

    top = getters.query_one(TopBar)
    table = getters.query_one(RunsTable)

    def __init__(
        self, *, home: LabHome, environment: Environment, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(home=home, environment=environment, clock=clock)
        self.by_path: dict[Path, RunView] = {}
        self.has_listed = False
        self.num_unread = 0
        self.marked: tuple[Path, ...] = ()
        self._roster = Roster(home)
        self._is_listing = False
        self._next_list_s = 0.0
        self._touched: frozenset[Path] = frozenset()
        self._arrangement = Arrangement()
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
            self.arrange_rows()
            self.filter_news()
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
        self.arrange_rows()

    def arrange_rows(self) -> None:
        """Show the runs that pass, in their order."""
        paths = self.passing_paths
        self.table.empty_text = NO_PASS if paths is not None else ""
        self.table.num_runs = len(self.runs)
        self.table.rows = arrange(self.runs, self._arrangement, paths)
        self.count_passing()
