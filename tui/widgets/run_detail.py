"""One run in detail: its stages and numbers on the left, charts and text panes on the right."""

from __future__ import annotations

from textual import getters
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical, VerticalScroll

from tui.live import present
from tui.live.focus import FocusedRun
from tui.live.state import CHARTED
from tui.shell.glyphs import Glyphs
from tui.widgets.chart import Chart
from tui.widgets.figures import Figures
from tui.widgets.lines_view import CheckpointsView, LinesView, LogView, SamplesView
from tui.widgets.pane_bar import PANES, PaneBar
from tui.widgets.stage_track import StageTrack
from tui.widgets.task_results import TaskResults, graded_stages


class RunDetail(Horizontal):
    """The lower part of the dashboard. Only what is visible is given new data."""

    track = getters.query_one(StageTrack)
    results = getters.query_one(TaskResults)
    figures = getters.query_one(Figures)
    main = getters.query_one("#main", Vertical)
    bar = getters.query_one(PaneBar)
    charts = getters.query_one("#charts", Container)

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(id="body")
        self._glyphs = glyphs
        self._pane = PANES[0]

    def compose(self) -> ComposeResult:
        """Return both sides."""
        with VerticalScroll(id="side", can_focus=False):
            yield StageTrack(glyphs=self._glyphs)
            yield TaskResults()
            yield Figures(glyphs=self._glyphs)
        with Vertical(id="main"):
            yield PaneBar()
            with Container(id="charts"):
                for key in CHARTED:
                    yield Chart(key=key, glyphs=self._glyphs)
            yield LogView(widget_id="log")
            yield SamplesView(widget_id="samples")
            yield CheckpointsView(widget_id="checkpoints")

    def show(self, focused: FocusedRun, now: float) -> None:
        """Hand the state of a run down."""
        view, run = focused.view, focused.run
        stages = {stage.stage: stage for stage in run.stages}
        self.track.run_view = run
        self.track.selected = focused.stage
        self.track.now = now
        self.results.run_view = run
        self.results.display = bool(graded_stages(run))
        chosen = stages.get(focused.stage or "")
        self.figures.figures = present.figures(view.stage(focused.stage), chosen)
        self.bar.counts = (
            ("samples", len(view.samples)),
            ("checkpoints", len(view.checkpoints)),
        )
        if self.charts.display:
            for chart, data in zip(self.query(Chart), focused.charts(), strict=True):
                chart.chart = data
        if self.bar.selected != "charts":
            lines = focused.pane_lines(self.bar.selected, self._glyphs)
            self.query_one(f"#{self.bar.selected}", LinesView).lines = lines

    def share_room(self, *, has_charts_pane: bool) -> None:
        """Put the charts among the panes, or above them where there is room for both."""
        if has_charts_pane != self.bar.has_charts_pane:
            self.bar.has_charts_pane = has_charts_pane
            below = self.charts if has_charts_pane else self.query_one(LogView)
            self.main.move_child(self.bar, before=below)
        self.show_pane(self._pane)

    def show_pane(self, name: str) -> None:
        """Show another pane; a text pane takes the focus from the one it replaces."""
        had_focus = any(pane.has_focus for pane in self.query(LinesView))
        self._pane = name
        is_always_there = name == "charts" and not self.bar.has_charts_pane
        self.bar.selected = "log" if is_always_there else name
        for pane in PANES:
            self.main.set_class(pane == self.bar.selected, f"-pane-{pane}")
        if had_focus and self.bar.selected != "charts":
            self.query_one(f"#{self.bar.selected}", LinesView).focus()

    def toggle_log_scale(self) -> None:
        """Draw y axes as logarithms, or not any more."""
        for chart in self.query(Chart):
            chart.is_log = not chart.is_log

    def toggle_zoom(self) -> None:
        """Give all the room to the focused chart, else to the loss; or share it again."""
        is_zoomed = not self.charts.has_class("-zoomed")
        charts = list(self.query(Chart))
        chosen = next((chart for chart in charts if chart.has_focus), charts[0])
        self.charts.set_class(is_zoomed, "-zoomed")
        for chart in charts:
            chart.set_class(is_zoomed and chart is chosen, "-zoomed")
        if is_zoomed:
            self.show_pane("charts")
