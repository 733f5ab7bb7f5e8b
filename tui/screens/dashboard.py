"""The dashboard: every run, and the stages, curves and texts of one of them, live.

Thread workers read files and post messages; the handlers here own every change of the view.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.widgets import Footer, Static
from textual.worker import Worker, get_current_worker

from runs import requests
from runs.errors import LabError
from runs.facts import FoldCache
from runs.paths import LabHome
from runs.query import RunView, list_runs
from runs.states import ACTIVE
from tui.live import present
from tui.live.focus import FocusedRun
from tui.live.messages import ActionDone, FocusFailed, FocusLoaded, RunsFailed, RunsListed
from tui.screens.modal import ConfirmScreen
from tui.shell.environment import Environment
from tui.shell.format import below_home
from tui.widgets.pane_bar import PANES
from tui.widgets.run_detail import RunDetail
from tui.widgets.run_header import RunHeader, TopBar
from tui.widgets.runs_table import RunsTable
from tui.widgets.stage_track import StageTrack

POLL_S = 0.05
LIST_S = 1.0
DRAW_SHARE = 20
NO_RUNS = """\
No runs in this lab home yet.

Start one in another terminal:

    labcli run speedrun

It appears here within a second."""


class DashboardScreen(Screen[None]):
    """All runs of a lab home; one of them in detail."""

    CSS_PATH = "dashboard.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "Dashboard"
    HELP = "The dashboard: all runs above, the run that was chosen with Enter below."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop", "Stop", id="run.stop", tooltip="Stop the run after a checkpoint."),
        Binding("r", "resume", "Resume", id="run.resume", tooltip="Continue a run that ended."),
        Binding(
            "left_square_bracket",
            "stage(-1)",
            "Stage",
            key_display="[",
            id="stage.previous",
            tooltip="Show the curves of the stage before.",
        ),
        Binding(
            "right_square_bracket",
            "stage(1)",
            "Stage",
            key_display="]",
            id="stage.next",
            tooltip="Show the curves of the stage after.",
        ),
        *(
            Binding(
                str(number),
                f"pane('{name}')",
                name.capitalize(),
                show=False,
                id=f"pane.{name}",
                tooltip=f"Show the {name} of the run.",
            )
            for number, name in enumerate(PANES, start=1)
        ),
        Binding("y", "log_scale", "Log y", id="chart.log", tooltip="Draw y axes as logarithms."),
        Binding("z", "zoom", "Zoom", id="chart.zoom", tooltip="Give one chart all the room."),
    ]

    top = getters.query_one(TopBar)
    table = getters.query_one(RunsTable)
    header = getters.query_one(RunHeader)
    notice = getters.query_one("#notice", Static)
    detail = getters.query_one(RunDetail)

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        focus: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._home = home
        self._environment = environment
        self._clock = clock
        self._wanted = focus
        self._runs: tuple[RunView, ...] = ()
        self._cache = FoldCache()
        self._is_listing = False
        self._has_listed = False
        self._opening: Path | None = None
        self._focused: FocusedRun | None = None
        self._is_dirty = False
        self._drawn_s = 0.0
        self._frame_s = 0.0

    def compose(self) -> ComposeResult:
        """Return the table, the detail of one run, and the keys."""
        glyphs = self._environment.glyphs
        yield TopBar(glyphs=glyphs)
        yield RunsTable(glyphs=glyphs)
        yield RunHeader(glyphs=glyphs)
        yield Static("Reading the lab home ...", id="notice", markup=False)
        yield RunDetail(glyphs=glyphs)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Start to list and to follow."""
        self.top.home = below_home(self._home.root)
        self._show_body(None)
        self.list_again()
        self.set_interval(LIST_S, self.list_again)
        self.set_interval(POLL_S, self.follow)

    def on_resize(self) -> None:
        """Share the room anew."""
        self.detail.share_room(has_charts_pane=not self.has_class("-tall"))
        self._is_dirty = True

    @property
    def is_settled(self) -> bool:
        """Whether the lab home was read and the chosen run, if there is one, is drawn."""
        return self._has_listed and self._opening is None and not self._is_dirty

    def list_again(self) -> None:
        """Read the lab home, unless the last reading still goes on."""
        if not self._is_listing:
            self._is_listing = True
            self.read_runs()

    @work(thread=True, exclusive=True, exit_on_error=False, group="runs")
    def read_runs(self) -> None:
        """Tell the state of every run."""
        try:
            self.post_message(RunsListed(tuple(list_runs(self._home, self._cache))))
        except Exception as error:
            self.post_message(RunsFailed(f"cannot read {self._home.runs_dir}: {error}"))

    @work(thread=True, exclusive=True, exit_on_error=False, group="focus")
    def read_events(self, focused: FocusedRun) -> None:
        """Read the events of a run to their end."""
        worker = get_current_worker()
        try:
            focused.drain(lambda: worker.is_cancelled)
        except Exception as error:
            self.post_message(FocusFailed(focused.run_dir, f"cannot read the events: {error}"))
            return
        if not worker.is_cancelled:
            self.post_message(FocusLoaded(focused))

    @work(thread=True, exit_on_error=False, group="requests")
    def send_stop(self, run: RunView) -> None:
        """Ask the run to stop, and tell how that went."""
        try:
            requests.request_stop(run.path)
        except (LabError, OSError) as error:
            self.post_message(ActionDone(str(error), is_refused=True))
        else:
            told = f"Asked {run.name} to stop after a checkpoint."
            self.post_message(ActionDone(told, is_refused=False))

    @work(thread=True, exit_on_error=False, group="requests")
    def send_resume(self, run: RunView) -> None:
        """Start the run again, and tell how that went."""
        worker = get_current_worker()
        try:
            requests.resume(run.path, pause=lambda seconds: wait_unless_left(worker, seconds))
        except (LabError, OSError) as error:
            self.post_message(ActionDone(str(error), is_refused=True))
        else:
            self.post_message(ActionDone(f"{run.name} goes on.", is_refused=False))

    @on(RunsListed)
    def show_runs(self, message: RunsListed) -> None:
        """Show every run, and keep the focused one focused."""
        self._is_listing = False
        self._has_listed = True
        self._runs = message.runs
        self.top.problem = ""
        self.top.states = tuple(run.state for run in message.runs)
        self.table.now = self._clock()
        self.table.runs = message.runs
        self._choose_focus()
        self._is_dirty = True

    @on(RunsFailed)
    def show_listing_problem(self, message: RunsFailed) -> None:
        """Say why the runs are not to be seen."""
        self._is_listing = False
        self.top.problem = message.problem

    @on(RunsTable.Opened)
    def open_run(self, message: RunsTable.Opened) -> None:
        """Show the run that was chosen."""
        chosen = [run for run in self._runs if run.run_id == message.run_id]
        if chosen:
            self._open(chosen[0])

    @on(FocusLoaded)
    def show_focused(self, message: FocusLoaded) -> None:
        """Show the run whose events have been read."""
        if message.focused.run_dir == self._opening:
            self._opening = None
            self._focused = message.focused
            self._focused.advance()
            self.header.problem = ""
            self._is_dirty = True
            self._show_body(self._focused)
            self.refresh_bindings()

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
            self._is_dirty = True

    @on(ActionDone)
    def tell_outcome(self, message: ActionDone) -> None:
        """Say how a request went."""
        severity: SeverityLevel = "error" if message.is_refused else "information"
        self.notify(message.text, severity=severity, markup=False)
        self.list_again()

    def follow(self) -> None:
        """Take in what is new, and draw it when the last drawing is old enough."""
        focused = self._focused
        if focused is None:
            return
        try:
            self._is_dirty |= focused.advance()
        except Exception as error:
            self._focused, self._opening = None, focused.run_dir
            self.header.problem = f"cannot read the events: {error}"
            return
        now = time.monotonic()
        if self._is_dirty and now - self._drawn_s >= self._frame_s:
            self._is_dirty = False
            self._drawn_s = now
            self._draw(focused)
            # A curve of a million steps is drawn less often, so that keys are still served.
            cost_s = time.monotonic() - now
            self._frame_s = max(1.0 / self._environment.frames_per_s, DRAW_SHARE * cost_s)

    def action_stop(self) -> None:
        """Ask, then stop the focused run."""
        run = self._focused.run if self._focused else None
        if run is None or run.state not in ACTIVE:
            return

        def answered(is_yes: bool | None) -> None:
            if is_yes:
                self.send_stop(run)

        self.app.push_screen(
            ConfirmScreen(
                question=f"Stop {run.name}?",
                consequence="It writes a checkpoint first and can be resumed later.",
                yes="stop it",
            ),
            answered,
        )

    def action_resume(self) -> None:
        """Continue the focused run."""
        run = self._focused.run if self._focused else None
        if run is not None and run.state in present.RESUMABLE:
            self.notify(f"Resuming {run.name} ...", markup=False)
            self.send_resume(run)

    def action_stage(self, by: int) -> None:
        """Show the stage before or after."""
        if self._focused is not None:
            self._focused.step_stage(by)
            self._is_dirty = True

    def action_pane(self, name: str) -> None:
        """Show another pane."""
        self.detail.show_pane(name)
        self._is_dirty = True

    def action_log_scale(self) -> None:
        """Draw y axes as logarithms, or not any more."""
        self.detail.toggle_log_scale()

    def action_zoom(self) -> None:
        """Give one chart all the room, or share it again."""
        self.detail.toggle_zoom()
        self._is_dirty = True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what the focused run cannot do."""
        state = self._focused.run.state if self._focused else ""
        if action == "stop" and state not in ACTIVE:
            return None
        if action == "resume" and state not in present.RESUMABLE:
            return None
        return True

    def _choose_focus(self) -> None:
        """Refresh the focused run, or choose one where there is none (any more)."""
        by_path = {run.path: run for run in self._runs}
        if self._focused is not None and self._focused.run_dir in by_path:
            before, self._focused.run = self._focused.run, by_path[self._focused.run_dir]
            if before.state != self._focused.run.state:
                self.refresh_bindings()
            self._show_body(self._focused)
            return
        if self._focused is not None:
            text = f"{self._focused.run.name} is gone: its directory was removed."
            self.notify(text, severity="warning", markup=False)
            self._focused = None
        if self._opening in by_path:
            return
        if not self._runs:
            self._opening = None
            self._show_body(None)
            self.notice.update(NO_RUNS)
            return
        wanted = by_path.get(self._wanted) if self._wanted else None
        at_work = [run for run in self._runs if run.state in ACTIVE - {"queued"}]
        self._open(wanted or (at_work or self._runs)[0])

    def _open(self, run: RunView) -> None:
        if self._focused is not None and self._focused.run_dir == run.path:
            return
        self._opening = run.path
        self._focused = None
        self.table.focused_run = run.run_id
        self.header.run_view = run
        self.header.now = self._clock()
        self.header.problem = ""
        self.notice.update(f"Reading {run.name} ...")
        self._show_body(None)
        self.read_events(FocusedRun(run))

    def _show_body(self, focused: FocusedRun | None) -> None:
        """Show the panes of a run, else the notice."""
        has_stages = focused is not None and bool(focused.run.stages)
        if focused is not None and not has_stages:
            self.notice.update("This run directory cannot be shown; the line above says why.")
        self.detail.display = has_stages
        self.notice.display = not has_stages
        self.table.display = bool(self._runs)
        self.header.display = bool(self._runs)

    def _draw(self, focused: FocusedRun) -> None:
        """Hand the state down."""
        now = self._clock()
        self.header.run_view = focused.run
        self.header.now = now
        self.detail.show(focused, now)


def wait_unless_left(worker: Worker[None], seconds: float) -> None:
    """Let time pass, or raise when the app was left: its exit waits for every thread."""
    if worker.is_cancelled:
        raise LabError("the dashboard was left before the run had let go of its processes")
    time.sleep(seconds)
