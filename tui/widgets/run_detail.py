"""One run in detail: its stages and numbers on the left, charts and text panes on the right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual import getters, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.reactive import var
from textual.worker import get_current_worker

from tui.charts.names import AxisName
from tui.live import journal, present
from tui.live.axes import Subject, axes_of, place_of, step_at
from tui.live.chart_set import ChartSet
from tui.live.focus import FocusedRun
from tui.live.overlay import Overlay, read_run
from tui.shell.glyphs import Glyphs
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.figures import Figures
from tui.widgets.lines_view import LinesView
from tui.widgets.log_view import AlertsView, CheckpointsView, LogView, PointingView
from tui.widgets.overlay_legend import OverlayLegend
from tui.widgets.pane_bar import PANES, PaneBar
from tui.widgets.samples_view import SamplesView
from tui.widgets.search_line import SearchLine
from tui.widgets.stage_track import StageTrack
from tui.widgets.task_results import TaskResults, graded_stages

POLL_S = 0.1


class RunDetail(Horizontal):
    """The lower part of the dashboard. Only what is visible is given new data."""

    @dataclass
    class _MarkedRead(Message):
        """A marked run was read, or cannot be."""

        run_dir: Path
        focused: FocusedRun | None
        problem: str = ""

    marked: var[tuple[Path, ...]] = var(())
    """The directories of the runs whose curves are laid over those of the focused run."""
    axis: var[AxisName] = var("step")
    """What the charts are drawn over."""

    track = getters.query_one(StageTrack)
    results = getters.query_one(TaskResults)
    figures = getters.query_one(Figures)
    main = getters.query_one("#main", Vertical)
    bar = getters.query_one(PaneBar)
    charts = getters.query_one(ChartGrid)
    legend = getters.query_one(OverlayLegend)
    log_pane = getters.query_one(LogView)
    samples = getters.query_one(SamplesView)
    search = getters.query_one(SearchLine)

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="body")
        self._glyphs = glyphs
        self._pane = PANES[0]
        self._overlay = Overlay()
        self._chart_set = ChartSet()
        self._subjects: tuple[Subject, ...] = ()
        self._focused: FocusedRun | None = None
        self._step: float | None = None

    def compose(self) -> ComposeResult:
        """Return both sides."""
        with VerticalScroll(id="side", can_focus=False):
            yield StageTrack(glyphs=self._glyphs)
            yield TaskResults()
            yield Figures(glyphs=self._glyphs)
        with Vertical(id="main"):
            yield PaneBar()
            yield OverlayLegend()
            yield ChartGrid(glyphs=self._glyphs)
            yield LogView(widget_id="log")
            yield SearchLine()
            yield SamplesView(glyphs=self._glyphs)
            yield CheckpointsView(widget_id="checkpoints")
            yield AlertsView(widget_id="alerts")

    def on_mount(self) -> None:
        """Follow what is marked."""
        self.set_interval(POLL_S, self.follow_marked)

    def watch_marked(self, marked: tuple[Path, ...]) -> None:
        """Read the runs that were marked, and leave out those that no longer are."""
        for run_dir in self._overlay.choose(marked):
            self.read_marked(run_dir)
        self._draw_charts()

    @work(thread=True, exit_on_error=False, group="marked")
    def read_marked(self, run_dir: Path) -> None:
        """Read a marked run to its end."""
        worker = get_current_worker()
        try:
            focused = read_run(run_dir, lambda: worker.is_cancelled)
        except Exception as error:
            self.post_message(self._MarkedRead(run_dir, None, str(error)))
        else:
            self.post_message(self._MarkedRead(run_dir, focused))

    @on(_MarkedRead)
    def show_marked(self, message: _MarkedRead) -> None:
        """Lay the curves of a marked run over the others, or say why not."""
        message.stop()
        if message.focused is not None:
            self._overlay.take(message.focused)
        else:
            self._overlay.drop(message.run_dir)
            text = f"{message.run_dir.name} is not in the charts: {message.problem}"
            self.notify(text, severity="warning", markup=False)
        self._draw_charts()

    def follow_marked(self) -> None:
        """Take in what is new in the marked runs; what nobody sees waits."""
        if not self._overlay.marked or not self.display or self.app.screen is not self.screen:
            return
        if self._overlay.advance():
            self._draw_charts()

    @property
    def is_whole(self) -> bool:
        """Whether its parts are there: not yet while it is mounted, no more while the app ends."""
        return self.is_mounted and bool(self.query(PaneBar))

    def show(self, focused: FocusedRun, now: float) -> None:
        """Hand the state of a run down."""
        if not self.is_whole:
            return
        if self._focused is not focused:
            self._focused = focused
            self._leave_place()
        view, run = focused.view, focused.run_now
        stages = {stage.stage: stage for stage in run.stages}
        self.track.run_view = run
        if self.track.selected != focused.stage:
            self.track.selected = focused.stage
            self._leave_place()
        self.track.now = now
        self.results.run_view = run
        self.results.display = bool(graded_stages(run))
        chosen = stages.get(focused.stage or "")
        self.figures.figures = present.figures(view.stage(focused.stage), chosen)
        self.bar.counts = (
            ("samples", len(view.samples)),
            ("checkpoints", len(view.checkpoints)),
            ("alerts", sum(alert.is_trouble for alert in focused.alerts)),
        )
        self._draw_charts()
        self._draw_pane(focused)

    def share_room(self, *, has_charts_pane: bool) -> None:
        """Put the charts among the panes, or above them where there is room for both."""
        if not self.is_whole:
            return
        if has_charts_pane != self.bar.has_charts_pane:
            self.bar.has_charts_pane = has_charts_pane
            below = self.legend if has_charts_pane else self.log_pane
            self.main.move_child(self.bar, before=below)
        self._apply_pane()

    def show_pane(self, name: str) -> None:
        """Show another pane; the charts' own key turns their page when they are there already."""
        is_there = self._pane == "charts" or not self.bar.has_charts_pane
        if name == "charts" and is_there and self._focused is not None:
            self.charts.turn(1)
        if name != "charts" or self.bar.has_charts_pane:
            self._pane = name
        self._apply_pane()

    def _apply_pane(self) -> None:
        """Show the chosen pane; a text pane takes the focus from the one it replaces."""
        had_focus = any(pane.has_focus for pane in self.query(LinesView))
        is_always_there = self._pane == "charts" and not self.bar.has_charts_pane
        self.bar.selected = "log" if is_always_there else self._pane
        if self.bar.selected != "log":
            self.search.remove_class("-open")
        for pane in PANES:
            self.main.set_class(pane == self.bar.selected, f"-pane-{pane}")
        if had_focus and self.bar.selected != "charts":
            self.query_one(f"#{self.bar.selected}", LinesView).focus()
        if self._focused is not None:
            self._draw_charts()
            self._draw_pane(self._focused)

    def toggle_log_scale(self) -> None:
        """Draw y axes as logarithms, or not any more."""
        self.charts.is_log = not self.charts.is_log

    def toggle_zoom(self) -> None:
        """Give all the room to the focused chart, else to the first; or share it again."""
        self.charts.toggle_alone()
        if self.charts.is_zoomed and self.bar.has_charts_pane:
            self._pane = "charts"
            self._apply_pane()

    def cycle_axis(self) -> None:
        """Draw the charts over the next of the axes that the runs have measured."""
        axes = axes_of(self._subjects)
        place = axes.index(self.axis) if self.axis in axes else -1
        self.set_axis(axes[(place + 1) % len(axes)])

    def set_axis(self, axis: AxisName) -> None:
        """Draw the charts over an axis; the crosshair stays at its step."""
        self.axis = axis
        self.bar.axis = axis
        self.charts.zoom = None
        self._draw_charts()
        self._point_at(self._step)

    @on(ChartGrid.Pointed)
    def follow_crosshair(self, message: ChartGrid.Pointed) -> None:
        """Show the samples of the step that the charts point at."""
        self._step = None
        if message.place is not None and self._subjects:
            self._step = step_at(self._subjects[0], self.axis, message.place)
        self.samples.step = self._step

    @on(ChartGrid.Paged)
    def tell_page(self, message: ChartGrid.Paged) -> None:
        """Say which of the charts are shown."""
        self.bar.page = (message.page, message.num_pages)

    @on(PointingView.Pointed)
    def point_at_line(self, message: PointingView.Pointed) -> None:
        """Move the crosshair to the step that a line tells of."""
        self._point_at(message.step)

    @on(SamplesView.Scrubbed)
    def point_at_samples(self, message: SamplesView.Scrubbed) -> None:
        """Move the crosshair with the samples."""
        self._point_at(message.step)

    @on(LogView.SearchWanted)
    def open_search(self) -> None:
        """Let a person type what to search the log for."""
        self.search.open()

    @on(SearchLine.Sought)
    def search_log(self, message: SearchLine.Sought) -> None:
        """Mark what matches, and go to the nearest."""
        self.log_pane.sought = message.text
        self.log_pane.seek()

    @on(SearchLine.Done)
    def close_search(self) -> None:
        """Go back to the log."""
        self.log_pane.focus()

    def _leave_place(self) -> None:
        self.charts.zoom = None
        self._point_at(None)

    def _point_at(self, step: float | None) -> None:
        self._step = step
        self.samples.step = step
        place = step
        if step is not None and self._subjects:
            place = place_of(self._subjects[0], self.axis, step)
        self.charts.crosshair = place

    def _draw_charts(self) -> None:
        focused = self._focused
        if focused is None or not self.is_whole or not self.charts.display:
            return
        self._subjects = self._overlay.subjects(focused)
        if self.axis not in axes_of(self._subjects):
            self.axis = self.bar.axis = "step"
        has_main = focused.stage in present.MODEL_STAGES
        charts = self._chart_set.charts(self._subjects, self.axis, has_main=has_main)
        self.charts.charts = charts
        self.legend.entries = charts[0][1].legend if charts else ()

    def _draw_pane(self, focused: FocusedRun) -> None:
        pane, view = self.bar.selected, focused.view
        nothing = journal.nothing_yet(pane, view)
        match pane:
            case "samples":
                self.samples.otherwise = nothing
                self.samples.stage = focused.stage
                self.samples.samples = view.samples
                return
            case "checkpoints":
                lines = journal.checkpoint_lines(focused.checkpoints)
            case "alerts":
                lines = journal.alert_lines(focused.alerts, self._glyphs)
            case "log":
                lines = focused.log_lines
            case _:
                return
        self.query_one(f"#{pane}", LinesView).lines = lines or nothing
