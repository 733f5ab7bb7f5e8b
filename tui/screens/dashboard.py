"""The dashboard: every run, and the stages, curves and texts of one of them, live.

The upper half is in `dashboard_listing`, the actions in `dashboard_actions`, the keys in
`dashboard_keys`; here is the run that is shown in detail. What that needs is imported while the
table is there to be seen already.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer
from textual.widgets import Footer, Static
from textual.worker import get_current_worker

from runs.paths import LabHome
from runs.views.run_view import RunView
from runs.views.states import ACTIVE
from tui.live.messages import FocusFailed, FocusLoaded
from tui.screens.dashboard_keys import DASHBOARD_KEYS
from tui.screens.dashboard_listing import RunListing
from tui.shell.environment import Environment
from tui.shell.format import below_home
from tui.widgets.filter_line import FilterLine
from tui.widgets.run_header import RunHeader, TopBar
from tui.widgets.runs_table import RunsTable
from tui.widgets.stage_track import StageTrack

if TYPE_CHECKING:
    from tui.live.focus import FocusedRun
    from tui.widgets.run_detail import RunDetail

POLL_S = 0.04
# Drawing takes at most one part in so many of a processor.
DRAW_SHARE = 6
_DETAIL_MODULE = "tui.widgets.run_detail"
NO_RUNS = """\
No runs in this lab home yet.

Start one with n, or in another terminal:

    labcli run speedrun

It appears here within a second."""


class DashboardScreen(RunListing):
    """All runs of a lab home; one of them in detail."""

    CSS_PATH = "dashboard.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "Dashboard"
    HELP = "The dashboard: all runs above, the run that was chosen with Enter below."
    BINDINGS: ClassVar[list[BindingType]] = [*DASHBOARD_KEYS]

    header = getters.query_one(RunHeader)
    notice = getters.query_one("#notice", Static)

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        focus: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(home=home, environment=environment, clock=clock)
        self._wanted = focus
        self._arriving: Path | None = None
        self._opening: Path | None = None
        self._focused: FocusedRun | None = None
        self._able: tuple[bool | None, ...] = ()
        self._has_detail = False
        self._following: Timer | None = None
        self._is_dirty = False
        self._is_due = False
        self._next_draw_s = 0.0

    def compose(self) -> ComposeResult:
        """Return the table and the keys; the detail of a run comes with the first run."""
        glyphs = self.environment.glyphs
        yield TopBar(glyphs=glyphs)
        yield FilterLine(glyphs=glyphs)
        yield RunsTable(glyphs=glyphs)
        yield RunHeader(glyphs=glyphs)
        yield Static("Reading the lab home ...", id="notice", markup=False)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Start to list and to follow."""
        self.top.home = below_home(self.home.root)
        self._show_body(None)
        self.table.focus()
        self._following = self.set_interval(POLL_S, self.follow)
        self.start_timers(self._following)

    def on_resize(self) -> None:
        """Share the room anew."""
        if self._has_detail:
            self._share_room()
        self._draw_soon()

    @property
    def detail(self) -> RunDetail:
        """The lower part; it is there once a run has been shown."""
        return cast("RunDetail", self.query_one("#body"))

    @property
    def is_settled(self) -> bool:
        """Whether the lab home was read and the chosen run, if there is one, is drawn."""
        is_read = self.has_listed and not self.num_unread and not self.is_filtering
        is_drawn = self._focused is None or not self._is_dirty
        return is_read and self._opening is None and is_drawn

    def chosen_runs(self) -> tuple[RunView, ...]:
        """Return the marked runs, else the one under the cursor, else the one that is shown."""
        if self.marked:
            return self.marked_runs()
        if not self.is_mounted:
            return ()
        run = self.table.run_under_cursor if self._keys_go_to_table() else None
        run = run or (self._focused.run if self._focused else None)
        return (run,) if run else ()

    def show_later(self, run_dir: Path) -> None:
        """Show a run as soon as it is there."""
        self._arriving = run_dir
        self.list_again()

    def marks_changed(self) -> None:
        """Hand the marks down, and let the keys follow."""
        if self._has_detail:
            self.detail.marked = self.marked
        self._draw_soon()
        self._refresh_keys()

    @work(thread=True, exclusive=True, exit_on_error=False, group="focus", description="focus")
    def read_events(self, run: RunView) -> None:
        """Read the events of a run to their end."""
        worker = get_current_worker()
        try:
            focused: FocusedRun = importlib.import_module("tui.live.focus").FocusedRun(run)
            focused.drain(lambda: worker.is_cancelled)
            importlib.import_module(_DETAIL_MODULE)
        except Exception as error:
            self.post_message(FocusFailed(run.path, f"cannot read the events: {error}"))
            return
        if not worker.is_cancelled:
            self.post_message(FocusLoaded(focused))

    @on(RunsTable.Opened)
    def open_run(self, message: RunsTable.Opened) -> None:
        """Show the run that was chosen."""
        if message.path in self.by_path:
            self._open(self.by_path[message.path])

    @on(RunsTable.CursorMoved)
    def take_cursor(self) -> None:
        """Let the keys follow the run under the cursor."""
        self._refresh_keys()

    @on(FocusLoaded)
    async def show_focused(self, message: FocusLoaded) -> None:
        """Show the run whose events have been read."""
        if message.focused.run_dir == self._opening:
            await self._mount_detail()
            if not self._has_detail:
                return
            self._opening = None
            self._focused = message.focused
            self._focused.advance()
            self._focused.look_at_disk()
            self.header.problem = ""
            self._draw_soon()
            self._show_body(self._focused)
            self._refresh_keys()

    @on(FocusFailed)
    def show_focus_problem(self, message: FocusFailed) -> None:
        """Say in place why the run cannot be shown."""
        if message.run_dir == self._opening:
            self.header.problem = message.problem
            self.notice.update("The line above says why; press Enter on a run to try again.")

    @on(StageTrack.Picked)
    def pick_stage(self, message: StageTrack.Picked) -> None:
        """Show the curves of another stage."""
        if self._focused is not None:
            self._focused.picked = message.stage
            # At once: the next key goes on from the stage that is shown.
            self._draw(self._focused)

    def follow(self) -> None:
        """Take in what is new, and draw it when the last drawing is old enough."""
        focused = self._focused
        if focused is None or not self.is_seen:
            self._rest()
            return
        # A run that has ended is looked at no oftener than the others.
        if focused.run.state in ACTIVE or self._is_due:
            self._is_due = False
            try:
                self._is_dirty |= focused.advance() | focused.look_at_disk()
            except Exception as error:
                self._focused, self._opening = None, focused.run_dir
                self.header.problem = f"cannot read the events: {error}"
                return
        now = time.monotonic()
        if self._is_dirty and now >= self._next_draw_s:
            self._is_dirty = False
            began_s = time.thread_time()
            self._draw(focused)
            # A curve of a million steps is drawn less often, so that keys are still served; a
            # machine that is busy with other things does not draw less often for that.
            cost_s = time.thread_time() - began_s
            pause_s = max(1.0 / self.environment.frames_per_s, DRAW_SHARE * cost_s)
            # After a rest two in a row: an event is not to wait for what the listing had drawn.
            self._next_draw_s = max(self._next_draw_s + pause_s, now)
        if not self._is_dirty and focused.run.state not in ACTIVE:
            self._rest()

    def action_stage(self, by: int) -> None:
        """Show the stage before or after."""
        if self._focused is not None:
            self._focused.step_stage(by)
            self._draw(self._focused)

    def action_pane(self, name: str) -> None:
        """Show another pane."""
        if self._has_detail:
            self.detail.show_pane(name)
            self._draw_soon()

    def action_axis(self) -> None:
        """Draw the charts over another x axis."""
        if self._has_detail:
            self.detail.cycle_axis()

    def action_log_scale(self) -> None:
        """Draw y axes as logarithms, or not any more."""
        if self._has_detail:
            self.detail.toggle_log_scale()

    def action_zoom(self) -> None:
        """Give one chart all the room, or share it again."""
        if self._has_detail:
            self.detail.toggle_zoom()
            self._draw_soon()

    def runs_shown(self) -> None:
        """Refresh the focused run, or choose one where there is none (any more)."""
        by_path = self.by_path
        self._is_due = True
        self._wake()
        self.header.count_age(self.clock())
        if self._arriving in by_path:
            self._open(by_path[self._arriving])
            self._arriving = None
        if self._focused is not None and self._focused.run_dir in by_path:
            before, self._focused.run = self._focused.run, by_path[self._focused.run_dir]
            if before is not self._focused.run:
                self._draw_soon()
                self._refresh_keys()
                self._show_body(self._focused)
            return
        if self.num_unread and not self._wanted:
            self._focus_any(by_path, is_final=False)
        elif not self.num_unread:
            self._focus_any(by_path, is_final=True)

    def _focus_any(self, by_path: dict[Path, RunView], *, is_final: bool) -> None:
        """Show the wanted run, else one at work, else the newest."""
        if self._focused is not None and is_final:
            text = f"{self._focused.run.name} is gone: its directory was removed."
            self.notify(text, severity="warning", markup=False)
            self._focused = None
        if self._opening in by_path:
            return
        if not self.runs:
            self._opening = None
            self._show_body(None)
            self.notice.update(NO_RUNS)
            return
        wanted = by_path.get(self._wanted) if self._wanted else None
        at_work = [run for run in self.runs if run.state in ACTIVE - {"queued"}]
        self._open(wanted or (at_work or self.runs)[0])

    def _open(self, run: RunView) -> None:
        if self._focused is not None and self._focused.run_dir == run.path:
            return
        self._opening = run.path
        self._focused = None
        self.table.focused_run = run.path
        self.header.run_view = run
        self.header.now = self.clock()
        self.header.problem = ""
        self.notice.update(f"Reading {run.name} ...")
        self._show_body(None)
        self.read_events(run)

    async def _mount_detail(self) -> None:
        if self._has_detail:
            return
        make: type[RunDetail] = importlib.import_module(_DETAIL_MODULE).RunDetail
        detail = make(glyphs=self.environment.glyphs)
        detail.display = False
        await self.mount(detail, after=self.notice)
        # An app that was left in the meantime has it in name only.
        self._has_detail = detail.is_whole
        if self._has_detail:
            self._share_room()
            detail.marked = self.marked

    def _share_room(self) -> None:
        self.detail.share_room(has_charts_pane=not self.has_class("-tall"))

    def _draw_soon(self) -> None:
        self._is_dirty = True
        self._wake()

    def _wake(self) -> None:
        if self._following is not None:
            self._following.resume()

    def _rest(self) -> None:
        if self._following is not None:
            self._following.pause()

    def _keys_go_to_table(self) -> bool:
        # While a question is open, the focus is that of the screen below it.
        return self.focused is None or self.focused is self.table

    def _refresh_keys(self) -> None:
        able = tuple(self.check_action(action, ()) for action in ("stop", "resume"))
        if able != self._able:
            self._able = able
            self.refresh_bindings()

    def _show_body(self, focused: FocusedRun | None) -> None:
        """Show the panes of a run, else the notice."""
        has_stages = focused is not None and bool(focused.run.stages)
        if focused is not None and not has_stages:
            self.notice.update("This run directory cannot be shown; the line above says why.")
        if self._has_detail:
            self.detail.display = has_stages
        self.notice.display = not has_stages
        self.table.display = bool(self.runs)
        self.header.display = bool(self.runs)

    def _draw(self, focused: FocusedRun) -> None:
        """Hand the state down."""
        now = self.clock()
        self.header.run_view = focused.run
        self.header.count_age(now)
        self.detail.show(focused, now)
