"""Several runs beside each other: curves overlaid, the verdict, what differs, why, and scaling.

A thread worker reads and compares; the handlers here own every change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

from rich.text import Text
from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.widgets import Footer

from runs.errors import UsageError
from runs.paths import LabHome
from tui.analysis import compare_rows
from tui.analysis.compare_markdown import markdown
from tui.analysis.compare_page import (
    SECTIONS,
    Choice,
    ComparePage,
    CompareReader,
    Section,
    write_export,
)
from tui.analysis.rows import Row, remark
from tui.charts.data import ChartData
from tui.screens.ask_text import AskTextScreen
from tui.screens.page_keys import offer_copy, section_keys
from tui.shell.environment import Environment
from tui.shell.tones import Piece, ToneLine
from tui.widgets.chart import Chart
from tui.widgets.detail_pane import DetailPane, DetailScreen
from tui.widgets.rows_view import RowsView
from tui.widgets.section_bar import SectionBar, SectionName
from tui.widgets.toned import TonedWidget, spread

Name = TypeVar("Name", bound=str)
READ_S = 2.0
SECTION_NAMES = tuple(SectionName(name=name, short=name) for name in SECTIONS)


class CompareTitle(TonedWidget):
    """How many runs are compared, by what, and what is wrong, if anything."""

    def __init__(self) -> None:
        super().__init__(id="title")
        self._line = ToneLine(())
        self._problem = ""

    def show(self, page: ComparePage, problem: str) -> None:
        """Tell of a page."""
        left = [Piece(f"{len(page.names)} runs  ", "strong")]
        if page.found is not None:
            by = f"{page.found.metric} of {page.found.stage}"
            left += [Piece(by, "active"), Piece(f" over {page.found.axis}", "quiet")]
        right = tuple(Piece(f"  {text}", "quiet") for text in page.names[:3])
        more = (Piece(f"  and {len(page.names) - 3} more", "quiet"),) if len(page.names) > 3 else ()
        self._line = spread(tuple(left), (*right, *more), max(self.size.width, 20))
        self._problem = problem
        self.refresh(layout=True)

    def render(self) -> Text:
        """Return the line and, where there is one, the problem."""
        lines = [self._line]
        if self._problem:
            lines.append(ToneLine((Piece(self._problem, "error"),)))
        return self.toned(*lines)


class CompareRows(RowsView):
    """The rows of one section of a comparison."""

    BINDING_GROUP_TITLE = "Comparison"
    HELP = """\
Several runs against the first of them. The number keys choose a section; m, x and s choose the
metric, the x axis and the stage; b makes the next run the first. Values come from the same
functions as labcli runs compare, diff and why. y copies a row, Y the verdict, e writes all of it
to a file.
"""


class CompareScreen(Screen[None]):
    """The marked runs compared with the first of them."""

    CSS_PATH = "compare_runs.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-tall")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "Comparison"
    HELP = CompareRows.HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="compare.back", tooltip="Go back."),
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
        Binding("y", "copy", "Copy", id="compare.copy", tooltip="Copy the marked row."),
        Binding(
            "Y", "copy_verdict", "Verdict", id="compare.copy_verdict", tooltip="Copy the verdict."
        ),
        Binding(
            "e", "export", "Export", id="compare.export", tooltip="Write all of it as Markdown."
        ),
        *section_keys(SECTIONS, "comparison"),
    ]

    @dataclass
    class PageRead(Message):
        """The runs were read; no page where nothing has changed."""

        section: Section
        choice: Choice
        page: ComparePage | None
        problem: str = ""

    @dataclass
    class Exported(Message):
        """The comparison was written, or not."""

        text: str
        is_refused: bool

    title_line = getters.query_one(CompareTitle)
    bar = getters.query_one(SectionBar)
    table = getters.query_one(CompareRows)
    detail = getters.query_one(DetailPane)

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        runs: tuple[Path, ...],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._home = home
        self._environment = environment
        self._clock = clock
        self._reader = CompareReader(home, runs)
        self._section: Section = "verdict"
        self._choice = Choice()
        self._page: ComparePage | None = None
        self._shown: tuple[Section, Choice] | None = None
        self._is_reading = False

    def compose(self) -> ComposeResult:
        """Return the title, the charts, the names of the sections, and the rows."""
        glyphs = self._environment.glyphs
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
        """Begin to read."""
        self.bar.selected = self._section
        self.table.rows = (remark("Reading the runs ..."),)
        self.query_one("#curves").display = False
        self.table.focus()
        self.read_again()
        self.set_interval(READ_S, self.read_again)

    def on_resize(self) -> None:
        """Lay the rows out for the new width, once the table has it."""
        self.call_after_refresh(self._draw)

    @property
    def is_settled(self) -> bool:
        """Whether what was asked for is what is shown."""
        return self._shown == (self._section, self._choice)

    def read_again(self) -> None:
        """Read the runs, unless the last reading still goes on."""
        if not self._is_reading:
            self._is_reading = True
            self.read_runs(self._reader, self._section, self._choice)

    @work(thread=True, exit_on_error=False, group="compare-page")
    def read_runs(self, reader: CompareReader, section: Section, choice: Choice) -> None:
        """Tell what has changed."""
        try:
            page = reader.read((section,), choice)
        except Exception as error:
            told = f"cannot compare: {error}"
            self.post_message(self.PageRead(section, choice, None, told))
        else:
            self.post_message(self.PageRead(section, choice, page))

    @on(PageRead)
    def take_page(self, message: PageRead) -> None:
        """Show what was read."""
        self._is_reading = False
        if (message.section, message.choice) != (self._section, self._choice):
            self.read_again()
            return
        if message.page is not None:
            self._page = message.page
            self._shown = (message.section, message.choice)
            self._draw()
        elif message.problem:
            self.table.rows = (remark(message.problem, "error"),)

    @on(RowsView.Marked)
    def show_detail(self, message: RowsView.Marked) -> None:
        """Show all of the marked row beside the page."""
        self.detail.show(message.row.in_full() if message.row else "")

    @on(RowsView.Opened)
    def open_detail(self, message: RowsView.Opened) -> None:
        """Show all of a row over the page."""
        text = message.row.in_full()
        if text:
            self.app.push_screen(DetailScreen(text))

    @on(SectionBar.Picked)
    def pick_section(self, message: SectionBar.Picked) -> None:
        """Show the section that was clicked on."""
        self.action_section(message.name)

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

    def action_section(self, name: str) -> None:
        """Show another section."""
        found = next((section for section in SECTIONS if section == name), self._section)
        if found != self._section:
            self._section = found
            self.bar.selected = found
            self._wait()

    def action_metric(self) -> None:
        """Compare by the next metric that the runs share."""
        page = self._page
        if page is not None and page.found is not None and page.metrics:
            metric = _next(page.metrics, page.found.metric)
            self._choose(replace(self._choice, metric=metric, stage=page.found.stage))

    def action_axis(self) -> None:
        """Align on the next x axis that the runs share."""
        page = self._page
        if page is not None and page.axes:
            for chart in self.query(Chart):
                # Places of one axis mean nothing on another.
                chart.crosshair = chart.zoom = None
            self._choose(replace(self._choice, axis=_next(page.axes, self._choice.axis)))

    def action_stage(self) -> None:
        """Compare in the next stage."""
        page = self._page
        if page is not None and page.found is not None and page.stages:
            stage = _next(page.stages, page.found.stage)
            self._choose(replace(self._choice, stage=stage, metric=None))

    def action_pair(self, by: int) -> None:
        """Ask why about another run."""
        if self._page is not None and len(self._page.names) > 2:
            num = len(self._page.names) - 1
            pair = (self._page.pair - 1 + by) % num + 1
            self._choose(replace(self._choice, pair=pair))

    def action_base(self) -> None:
        """Make the next run the first."""
        runs = self._reader.runs
        if len(runs) > 1:
            self._reader = CompareReader(self._home, (*runs[1:], runs[0]))
            self._wait()

    def action_log_scale(self) -> None:
        """Draw y axes as logarithms, or not any more."""
        for chart in self.query(Chart):
            chart.is_log = not chart.is_log

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_copy(self) -> None:
        """Copy the marked row."""
        row = self.table.row
        offer_copy(self, self._home, row.copied() if row else "")

    def action_copy_verdict(self) -> None:
        """Copy the verdict on every run."""
        if self._page is not None:
            offer_copy(self, self._home, compare_rows.verdict_text(self._page))

    def action_export(self) -> None:
        """Ask for a file, and write the comparison there."""
        page = self._page
        if page is None or len(page.names) < 2:
            self.notify("there is no comparison to write", severity="warning", markup=False)
            return
        slugs = "-".join(run.slug for run in page.runs[:2])
        more = f"-and-{len(page.runs) - 2}" if len(page.runs) > 2 else ""

        def answered(text: str | None) -> None:
            if text:
                self.write_page(self._reader.runs, self._choice, Path(text).expanduser())

        self.app.push_screen(
            AskTextScreen(
                question="Write the comparison to",
                hint="Enter  write Markdown     Esc  go back",
                check=_check_path,
                text=str(Path.cwd() / f"compare-{slugs}{more}.md"),
            ),
            answered,
        )

    @work(thread=True, exit_on_error=False, group="compare-export")
    def write_page(self, runs: tuple[Path, ...], choice: Choice, path: Path) -> None:
        """Read every section, and write all of it."""
        try:
            # A reader of its own: the other one may be at work.
            page = CompareReader(self._home, runs).read(SECTIONS, choice)
            assert page is not None
            write_export(path, markdown(page))
        except UsageError as error:
            self.post_message(self.Exported(str(error), is_refused=True))
        except Exception as error:
            told = f"cannot write the comparison: {error}"
            self.post_message(self.Exported(told, is_refused=True))
        else:
            self.post_message(self.Exported(f"wrote {path}", is_refused=False))

    def _choose(self, choice: Choice) -> None:
        self._choice = choice
        self._wait()

    def _wait(self) -> None:
        self._shown = None
        self.table.start_over()
        self.table.rows = (remark("Reading ..."),)
        self.table.focus()
        self.read_again()

    def _draw(self) -> None:
        page = self._page
        if page is None or not self.is_settled:
            return
        self.title_line.show(page, "; ".join(page.unreadable))
        charts = page.charts
        self.query_one("#curves").display = bool(charts)
        for place, chart in enumerate(self.query(Chart)):
            chart.set_class(place >= len(charts), "-absent")
            chart.chart = charts[place] if place < len(charts) else ChartData(title="")
        self.table.rows = tuple(self._rows(page))

    def _rows(self, page: ComparePage) -> list[Row]:
        width, glyphs = self.table.room, self._environment.glyphs
        match self._section:
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


def _check_path(text: str) -> None:
    path = Path(text).expanduser()
    if not text:
        raise UsageError("type where to write it")
    if path.exists():
        raise UsageError(f"{path.name} is there already; give another name")
    if not path.parent.is_dir():
        raise UsageError(f"there is no directory {path.parent}")
