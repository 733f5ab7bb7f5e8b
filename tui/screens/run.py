"""Everything about one run, in sections: how it stands, its settings, lineage, time and events.

A thread worker reads the run and posts what it found; the handlers here own every change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer

from runs.errors import LabError, UsageError
from runs.labels import add_note, add_tag, check_tag
from runs.paths import LabHome
from tui.analysis import run_events, run_rows, run_tables, run_times
from tui.analysis.rows import Row, remark
from tui.analysis.run_page import SECTIONS, RunPage, RunReader, Section
from tui.screens.ask_text import AskTextScreen
from tui.screens.page_keys import offer_copy, section_keys
from tui.screens.pick_run import PickRunScreen
from tui.shell.environment import Environment
from tui.widgets.detail_pane import DetailPane, DetailScreen
from tui.widgets.rows_view import RowsView
from tui.widgets.run_header import RunHeader
from tui.widgets.section_bar import SectionBar, SectionName

READ_S = 2.0
# Ages and running times are drawn anew this often, without reading anything.
TICK_S = 1.0
_SHORT = {"environment": "env", "checkpoints": "ckpts"}
SECTION_NAMES = tuple(SectionName(name=name, short=_SHORT.get(name, name)) for name in SECTIONS)
_TICKING: frozenset[Section] = frozenset({"overview"})


class RunRows(RowsView):
    """The rows of one section."""

    BINDING_GROUP_TITLE = "Run"
    HELP = """\
Everything about one run. The number keys choose a section; up and down mark a row, y copies what
it stands for (a value, a path, a reference such as run:base@360), Enter shows all of it.
"""


class RunScreen(Screen[Path | None]):
    """One run; the result is its directory where the person wants to see it on the dashboard."""

    CSS_PATH = "run.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    BINDING_GROUP_TITLE = "Run"
    HELP = RunRows.HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="run.back", tooltip="Go back to the dashboard."),
        Binding("y", "copy", "Copy", id="run.copy", tooltip="Copy what the marked row stands for."),
        Binding("c", "compare", "Compare", id="run.compare", tooltip="Compare with another run."),
        Binding("t", "tag", "Tag", id="run.tag", tooltip="Put a tag on this run."),
        Binding("w,n", "note", "Note", id="run.note", tooltip="Write a note about this run."),
        Binding(
            "f", "focus_run", "Dashboard", id="run.focus", tooltip="Show this run on the dashboard."
        ),
        Binding(
            "k",
            "kind(1)",
            "Kind",
            show=False,
            id="events.kind",
            tooltip="Show the next kind of event.",
        ),
        Binding(
            "K",
            "kind(-1)",
            "Kind",
            show=False,
            id="events.kind_before",
            tooltip="Show the kind of event before.",
        ),
        *section_keys(SECTIONS, "run"),
    ]

    @dataclass
    class PageRead(Message):
        """The run was read; no page where nothing has changed, `problem` where it failed."""

        section: Section
        page: RunPage | None
        problem: str = ""

    header = getters.query_one(RunHeader)
    bar = getters.query_one(SectionBar)
    table = getters.query_one(RunRows)
    detail = getters.query_one(DetailPane)

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        run: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._home = home
        self._environment = environment
        self._run_dir = run
        self._clock = clock
        self._reader = RunReader(home, run)
        self._section: Section = "overview"
        self._kind = run_events.NEWS
        self._page: RunPage | None = None
        self._page_section: Section | None = None
        self._is_reading = False

    def compose(self) -> ComposeResult:
        """Return the title, the names of the sections, the rows and the detail of one."""
        glyphs = self._environment.glyphs
        yield RunHeader(glyphs=glyphs)
        yield SectionBar(SECTION_NAMES)
        with Horizontal(id="page"):
            yield RunRows(glyphs=glyphs)
            yield DetailPane()
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Begin to read."""
        self.bar.selected = self._section
        self.table.rows = (remark("Reading the run ..."),)
        self.table.focus()
        self.read_again()
        self.set_interval(READ_S, self.read_again)
        self.set_interval(TICK_S, self.tick)

    def on_resize(self) -> None:
        """Lay the rows out for the new width, once the table has it."""
        self.call_after_refresh(self._draw)

    @property
    def is_settled(self) -> bool:
        """Whether the section that was asked for is the one that is shown."""
        return self._page_section == self._section

    def read_again(self) -> None:
        """Read the run, unless the last reading still goes on."""
        if not self._is_reading:
            self._is_reading = True
            self.read_run(self._section)

    def tick(self) -> None:
        """Let ages grow."""
        if self._page is not None and self.is_current and self._section in _TICKING:
            self._draw()

    @work(thread=True, exit_on_error=False, group="run-page")
    def read_run(self, section: Section) -> None:
        """Tell what has changed in the run."""
        try:
            page = self._reader.read(section)
        except Exception as error:
            self.post_message(self.PageRead(section, None, f"cannot read the run: {error}"))
        else:
            self.post_message(self.PageRead(section, page))

    @on(PageRead)
    def take_page(self, message: PageRead) -> None:
        """Show what was read."""
        self._is_reading = False
        if message.section != self._section:
            self.read_again()
            return
        self.header.problem = message.problem
        if message.page is not None:
            self._page = message.page
            self._page_section = message.section
            self._draw()
        elif message.problem and self._page is None:
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

    def action_section(self, name: str) -> None:
        """Show another section."""
        found = next((section for section in SECTIONS if section == name), self._section)
        if found == self._section:
            return
        self._section = found
        self.bar.selected = found
        self.table.start_over()
        self.table.rows = (remark("Reading ..."),)
        self.table.focus()
        self.refresh_bindings()
        self.read_again()

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_focus_run(self) -> None:
        """Go back to the dashboard and show this run there."""
        self.dismiss(self._run_dir)

    def action_copy(self) -> None:
        """Copy what the marked row stands for."""
        row = self.table.row
        offer_copy(self, self._home, row.copied() if row else "")

    def action_kind(self, by: int) -> None:
        """Show another kind of events."""
        if self._page is not None and self.is_settled:
            kinds = run_events.event_kinds(self._page)
            here = kinds.index(self._kind) if self._kind in kinds else 0
            self._kind = kinds[(here + by) % len(kinds)]
            self.table.start_over()
            self._draw()

    def action_compare(self) -> None:
        """Choose a run, and compare this one with it."""

        def picked(other: Path | None) -> None:
            if other is not None:
                # Imported here: most people look at a run without comparing it.
                from tui.screens.compare_runs import CompareScreen

                self.app.push_screen(
                    CompareScreen(
                        home=self._home,
                        environment=self._environment,
                        runs=(self._run_dir, other),
                        clock=self._clock,
                    )
                )

        self.app.push_screen(
            PickRunScreen(
                home=self._home,
                glyphs=self._environment.glyphs,
                without=(self._run_dir,),
                clock=self._clock,
            ),
            picked,
        )

    def action_tag(self) -> None:
        """Ask for a tag, and put it on the run."""
        tags = self._page.view.tags if self._page else ()
        self._ask(
            "Tag this run",
            "Enter  tag it     Esc  go back",
            check_tag,
            add_tag,
            (f"now: {' '.join(tags)}",) if tags else (),
        )

    def action_note(self) -> None:
        """Ask for a note, and write it down."""
        notes = self._page.view.notes if self._page else ()
        hint = "Enter  write it down     Esc  go back"
        self._ask("A note about this run", hint, _check_note, add_note, notes[-4:])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the kinds of events where there are events."""
        return not (action == "kind" and self._section != "events")

    def _ask(
        self,
        question: str,
        hint: str,
        check: Callable[[str], None],
        write: Callable[[Path, str], None],
        known: tuple[str, ...],
    ) -> None:
        def answered(text: str | None) -> None:
            if text:
                self.write_label(write, text)

        screen = AskTextScreen(question=question, hint=hint, check=check, known=known)
        self.app.push_screen(screen, answered)

    @work(thread=True, exit_on_error=False, group="labels")
    def write_label(self, write: Callable[[Path, str], None], text: str) -> None:
        """Write a tag or a note, and show it."""
        try:
            write(self._run_dir, text)
        except (LabError, OSError) as error:
            self.app.call_from_thread(self.notify, str(error), severity="error", markup=False)
        else:
            self.app.call_from_thread(self.read_again)

    def _draw(self) -> None:
        page = self._page
        if page is None:
            return
        self.header.run_view = page.view
        self.header.now = self._clock()
        if self.is_settled:
            self.table.rows = tuple(self._rows(page))

    def _rows(self, page: RunPage) -> list[Row]:
        width, glyphs, now = self.table.room, self._environment.glyphs, self._clock()
        match self._section:
            case "overview":
                rows = run_rows.overview(page, width=width, glyphs=glyphs, now=now)
            case "config":
                rows = run_rows.settings(page, width=width)
            case "environment":
                rows = run_rows.machine(page)
            case "lineage":
                rows = run_tables.lineage(page, width=width, glyphs=glyphs)
            case "checkpoints":
                rows = run_tables.checkpoints(page, width=width, glyphs=glyphs)
            case "evals":
                rows = run_tables.evals(page, width=width, glyphs=glyphs)
            case "time":
                rows = run_times.times(page, width=width, glyphs=glyphs)
            case "events":
                rows = run_events.events(page, self._kind, width=width, glyphs=glyphs)
            case "files":
                rows = run_rows.files(page, width=width, glyphs=glyphs)
        told = [text for name, text in page.problems.items() if name != "defaults"]
        return [*(remark(text, "error") for text in told), *rows]


def _check_note(text: str) -> None:
    if not text:
        raise UsageError("a note needs text")
