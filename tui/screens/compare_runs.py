"""Several runs beside each other: curves overlaid, the verdict, what differs, why, and scaling."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.types import CSSPathType
from textual.widgets import Footer

from runs.errors import LabError, UsageError
from runs.paths import LabHome
from tui.analysis import compare_rows
from tui.analysis.compare_markdown import markdown
from tui.analysis.compare_page import (
    SECTIONS,
    Choice,
    ComparePage,
    Section,
)
from tui.analysis.compare_reader import CompareReader
from tui.analysis.export import check_path, write_export
from tui.analysis.rows import Row
from tui.charts.data import ChartData
from tui.screens.ask_text import ask_text
from tui.screens.page import Name, PageScreen, page_keys
from tui.shell.clipboard import offer_copy
from tui.shell.environment import Environment
from tui.widgets.chart import Chart
from tui.widgets.compare_title import CompareTitle
from tui.widgets.detail_pane import DetailPane
from tui.widgets.rows_view import RowsView
from tui.widgets.section_bar import SectionBar, SectionName

SECTION_NAMES = tuple(SectionName(name=name, short=name) for name in SECTIONS)


class CompareRows(RowsView):
    """The rows of one section of a comparison."""

    BINDING_GROUP_TITLE = "Comparison"
    HELP = """\
Several runs against the first of them. The number keys choose a section; m, x and s choose the
metric, the x axis and the stage; b makes the next run the first. Values come from the same
functions as labcli runs compare, diff and why. y copies a row, Y the verdict, e writes all of it
to a file.
"""


class CompareScreen(PageScreen[Section, ComparePage]):
    """The marked runs compared with the first of them."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["page.tcss", "compare_runs.tcss"]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "Comparison"
    HELP = CompareRows.HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        *page_keys(SECTIONS, view="compare", thing="comparison"),
        Binding("m", "metric", "Metric", id="compare.metric", tooltip="Compare the next metric."),
        Binding("x", "axis", "X axis", id="compare.axis", tooltip="Align on the next x axis."),
        Binding(
            "s", "stage", "Stage", show=False, id="compare.stage", tooltip="Compare the next stage."
        ),
        Binding(
            "b",
            "base",
            "First",
            show=False,
            id="compare.base",
            tooltip="Compare with the next run instead of the first.",
        ),
        Binding(
            "right_square_bracket",
            "pair(1)",
            "Pair",
            key_display="]",
            show=False,
            id="compare.pair",
            tooltip="Ask why about the next run.",
        ),
        Binding(
            "left_square_bracket",
            "pair(-1)",
            "Pair",
            key_display="[",
            show=False,
            id="compare.pair_before",
            tooltip="Ask why about the run before.",
        ),
        Binding("l", "log_scale", "Log y", id="compare.log", tooltip="Draw y axes as logarithms."),
        Binding(
            "Y", "copy_verdict", "Verdict", id="compare.copy_verdict", tooltip="Copy the verdict."
        ),
        Binding(
            "e", "export", "Export", id="compare.export", tooltip="Write all of it as Markdown."
        ),
    ]

    @dataclass
    class Exported(Message):
        """The comparison was written, or not."""

        text: str
        is_refused: bool

    title_line = getters.query_one(CompareTitle)
    table = getters.query_one(CompareRows)

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        runs: tuple[Path, ...],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(home=home, environment=environment, clock=clock, sections=SECTIONS)
        self._reader = CompareReader(home, runs)
        self._choice = Choice()
        self._problem = ""

    def compose(self) -> ComposeResult:
        """Return the title, the charts, the names of the sections, and the rows."""
        glyphs = self.environment.glyphs
        yield CompareTitle()
        with Horizontal(id="curves"):
            yield Chart(key="compared", glyphs=glyphs)
            yield Chart(key="second", glyphs=glyphs)
        yield SectionBar(SECTION_NAMES)
        with Horizontal(id="page"):
            yield CompareRows(glyphs=glyphs)
            yield DetailPane()
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Wait for the first curves."""
        self.query_one("#curves").display = False

    def asked(self) -> tuple[Section, Choice, CompareReader]:
        """Return the section, by what to compare, and the reader of the runs in their order."""
        return self.section, self._choice, self._reader

    def reading(self) -> Callable[[], ComparePage | None]:
        """Return what reads the section that is asked for."""
        return partial(self._reader.read, (self.section,), self._choice)

    def tell_problem(self, problem: str) -> None:
        """Say in the title why the runs cannot be read."""
        if problem != self._problem:
            self._problem = problem
            self.draw()

    def draw(self) -> None:
        """Draw the title, the curves and the rows."""
        page = self.page
        if page is None or not self.is_settled:
            return
        told = (self._problem, *page.unreadable)
        self.title_line.show(page, "; ".join(text for text in told if text))
        self.query_one("#curves").display = bool(page.charts)
        for place, chart in enumerate(self.query(Chart)):
            is_there = place < len(page.charts)
            chart.set_class(not is_there, "-absent")
            chart.chart = page.charts[place] if is_there else ChartData(title="")
        self.show_rows(self._rows(page))

    @on(Chart.Pointed)
    def point_all(self, message: Chart.Pointed) -> None:
        """Move the crosshair of both charts."""
        for chart in self.query(Chart):
            chart.crosshair = message.place

    @on(Chart.Zoomed)
    def zoom_all(self, message: Chart.Zoomed) -> None:
        """Show the same part of the x axis in both charts."""
        for chart in self.query(Chart):
            chart.zoom = message.zoom

    @on(Exported)
    def tell_export(self, message: Exported) -> None:
        """Say where the comparison is, or why it is not there."""
        severity: SeverityLevel = "error" if message.is_refused else "information"
        self.notify(message.text, severity=severity, markup=False)

    def action_metric(self) -> None:
        """Compare by the next metric that the runs share."""
        page = self.page
        if page is not None and page.found is not None and page.metrics:
            metric = _next(page.metrics, page.found.metric)
            self._choose(replace(self._choice, metric=metric, stage=page.found.stage))

    def action_axis(self) -> None:
        """Align on the next x axis that the runs share."""
        page = self.page
        if page is not None and page.axes:
            for chart in self.query(Chart):
                # Places of one axis mean nothing on another.
                chart.crosshair = chart.zoom = None
            self._choose(replace(self._choice, axis=_next(page.axes, self._choice.axis)))

    def action_stage(self) -> None:
        """Compare in the next stage."""
        page = self.page
        if page is not None and page.found is not None and page.stages:
            stage = _next(page.stages, page.found.stage)
            self._choose(replace(self._choice, stage=stage, metric=None))

    def action_pair(self, by: int) -> None:
        """Ask why about another run."""
        if self.page is not None and len(self.page.names) > 2:
            num = len(self.page.names) - 1
            pair = (self.page.pair - 1 + by) % num + 1
            self._choose(replace(self._choice, pair=pair))

    def action_base(self) -> None:
        """Make the next run the first."""
        runs = self._reader.runs
        if len(runs) > 1:
            self._reader = CompareReader(self.home, (*runs[1:], runs[0]))
            self.start_over()

    def action_log_scale(self) -> None:
        """Draw y axes as logarithms, or not any more."""
        for chart in self.query(Chart):
            chart.is_log = not chart.is_log

    def action_copy_verdict(self) -> None:
        """Copy the verdict on every run."""
        if self.page is not None:
            offer_copy(self, self.home, compare_rows.verdict_text(self.page))

    def action_export(self) -> None:
        """Ask for a file, and write the comparison there."""
        page = self.page
        if page is None or len(page.names) < 2:
            self.notify("there is no comparison to write", severity="warning", markup=False)
            return
        slugs = "-".join(run.slug for run in page.runs[:2])
        more = f"-and-{len(page.runs) - 2}" if len(page.runs) > 2 else ""
        ask_text(
            self,
            "Write the comparison to",
            hint="Enter  write Markdown     Esc  go back",
            check=check_path,
            then=lambda text: self.write_page(
                self._reader.runs, self._choice, Path(text).expanduser()
            ),
            text=str(Path.cwd() / f"compare-{slugs}{more}.md"),
        )

    @work(thread=True, exit_on_error=False, group="compare-export")
    def write_page(self, runs: tuple[Path, ...], choice: Choice, path: Path) -> None:
        """Read every section, and write all of it."""
        try:
            # A reader of its own: the other one may be at work.
            page = CompareReader(self.home, runs).read(SECTIONS, choice)
            assert page is not None
            write_export(path, markdown(page))
        except UsageError as error:
            self.post_message(self.Exported(str(error), is_refused=True))
        except (LabError, OSError, ValueError, KeyError, TypeError) as error:
            told = f"cannot write the comparison: {error}"
            self.post_message(self.Exported(told, is_refused=True))
        else:
            self.post_message(self.Exported(f"wrote {path}", is_refused=False))

    def _choose(self, choice: Choice) -> None:
        self._choice = choice
        self.start_over()

    def _rows(self, page: ComparePage) -> list[Row]:
        width, glyphs = self.table.room, self.environment.glyphs
        match self.section:
            case "verdict":
                return compare_rows.verdict(page, width=width, glyphs=glyphs)
            case "settings":
                return compare_rows.settings(page, width=width, glyphs=glyphs)
            case "code":
                return compare_rows.code(page, width=width)
            case "why":
                return compare_rows.why(page, width=width, glyphs=glyphs)
            case "scaling":
                return compare_rows.scaling(page, width=width, glyphs=glyphs)


def _next(names: tuple[Name, ...], here: Name) -> Name:
    at = names.index(here) if here in names else -1
    return names[(at + 1) % len(names)]
