"""Everything about one run, in sections: how it stands, its settings, lineage, time and events."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import getters, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Footer

from runs.errors import LabError
from runs.labels import add_note, add_tag, check_tag
from runs.paths import LabHome
from tui.analysis import run_events, run_overview, run_settings, run_tables, run_times
from tui.analysis.rows import Row, remark
from tui.analysis.run_page import SECTIONS, RunPage, Section
from tui.analysis.run_reader import RunReader
from tui.screens.ask_text import ask_text
from tui.screens.page import PageScreen, page_keys
from tui.screens.pick_run import PickRunScreen
from tui.screens.run_deeds import check_note
from tui.shell.environment import Environment
from tui.widgets.detail_pane import DetailPane
from tui.widgets.rows_view import RowsView
from tui.widgets.run_header import RunHeader
from tui.widgets.section_bar import SectionBar, SectionName

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


class RunScreen(PageScreen[Section, RunPage]):
    """One run; the result is its directory where the person wants to see it on the dashboard."""

    BINDING_GROUP_TITLE = "Run"
    HELP = RunRows.HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        *page_keys(SECTIONS, view="run", thing="run"),
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
    ]

    header = getters.query_one(RunHeader)
    table = getters.query_one(RunRows)

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        run: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(home=home, environment=environment, clock=clock, sections=SECTIONS)
        self._run_dir = run
        self._reader = RunReader(home, run)
        self._kind = run_events.NEWS

    def compose(self) -> ComposeResult:
        """Return the title, the names of the sections, the rows and the detail of one."""
        glyphs = self.environment.glyphs
        yield RunHeader(glyphs=glyphs)
        yield SectionBar(SECTION_NAMES)
        with Horizontal(id="page"):
            yield RunRows(glyphs=glyphs)
            yield DetailPane()
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Let time pass."""
        self.set_interval(TICK_S, self.tick)

    def tick(self) -> None:
        """Let ages grow."""
        if self.page is not None and self.is_current and self.section in _TICKING:
            self.draw()

    def asked(self) -> Section:
        """Return the section that is asked for."""
        return self.section

    def reading(self) -> Callable[[], RunPage | None]:
        """Return what reads the section that is asked for."""
        return partial(self._reader.read, self.section)

    def tell_problem(self, problem: str) -> None:
        """Say in the header why the run cannot be read."""
        self.header.problem = problem

    def draw(self) -> None:
        """Draw the header, and the section when it was read."""
        page = self.page
        if page is None:
            return
        self.header.run_view = page.view
        self.header.now = self.clock()
        if self.is_settled:
            self.show_rows(self._rows(page))

    def action_focus_run(self) -> None:
        """Go back to the dashboard and show this run there."""
        self.dismiss(self._run_dir)

    def action_kind(self, by: int) -> None:
        """Show another kind of events."""
        if self.page is not None and self.is_settled:
            kinds = run_events.event_kinds(self.page)
            here = kinds.index(self._kind) if self._kind in kinds else 0
            self._kind = kinds[(here + by) % len(kinds)]
            self.table.start_over()
            self.draw()

    def action_compare(self) -> None:
        """Choose a run, and compare this one with it."""

        def picked(other: Path | None) -> None:
            if other is not None:
                # Imported here: most people look at a run without comparing it.
                from tui.screens.compare_runs import CompareScreen

                self.app.push_screen(
                    CompareScreen(
                        home=self.home,
                        environment=self.environment,
                        runs=(self._run_dir, other),
                        clock=self.clock,
                    )
                )

        self.app.push_screen(
            PickRunScreen(
                home=self.home,
                glyphs=self.environment.glyphs,
                without=(self._run_dir,),
                clock=self.clock,
            ),
            picked,
        )

    def action_tag(self) -> None:
        """Ask for a tag, and put it on the run."""
        tags = self.page.view.tags if self.page else ()
        ask_text(
            self,
            "Tag this run",
            hint="Enter  tag it     Esc  go back",
            check=check_tag,
            then=partial(self.write_label, add_tag),
            known=(f"now: {' '.join(tags)}",) if tags else (),
        )

    def action_note(self) -> None:
        """Ask for a note, and write it down."""
        notes = self.page.view.notes if self.page else ()
        ask_text(
            self,
            "A note about this run",
            hint="Enter  write it down     Esc  go back",
            check=check_note,
            then=partial(self.write_label, add_note),
            known=notes[-4:],
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the kinds of events where there are events."""
        return not (action == "kind" and self.section != "events")

    @work(thread=True, exit_on_error=False, group="labels")
    def write_label(self, write: Callable[[Path, str], None], text: str) -> None:
        """Write a tag or a note, and show it."""
        try:
            write(self._run_dir, text)
        except (LabError, OSError) as error:
            self.app.call_from_thread(self.notify, str(error), severity="error", markup=False)
        else:
            self.app.call_from_thread(self.read_again)

    def _rows(self, page: RunPage) -> list[Row]:
        width, glyphs, now = self.table.room, self.environment.glyphs, self.clock()
        match self.section:
            case "overview":
                rows = run_overview.overview(page, width=width, glyphs=glyphs, now=now)
            case "config":
                rows = run_settings.settings(page, width=width)
            case "environment":
                rows = run_settings.machine(page)
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
                rows = run_settings.files(page, width=width, glyphs=glyphs)
        told = [text for name, text in page.problems.items() if name != "defaults"]
        return [*(remark(text, "error") for text in told), *rows]
