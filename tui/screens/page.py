"""Pages of rows in sections: a thread worker reads them again and again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from textual import getters, on, work
from textual.binding import Binding
from textual.message import Message
from textual.screen import Screen
from textual.types import CSSPathType

from runs.paths import LabHome
from tui.analysis.rows import Row, remark
from tui.shell.clipboard import offer_copy
from tui.shell.environment import Environment
from tui.shell.keys import KeyNames
from tui.widgets.detail_pane import DetailPane, DetailScreen
from tui.widgets.rows_view import RowsView
from tui.widgets.section_bar import SectionBar

READ_S = 2.0
Name = TypeVar("Name", bound=str)
Page = TypeVar("Page")


@dataclass
class PageRead(Message, Generic[Page]):
    """What was asked for was read; no page where nothing has changed, `problem` where it failed."""

    asked: object
    page: Page | None
    problem: str = ""


def page_keys(sections: Sequence[str], *, view: str, thing: str) -> list[Binding]:
    """Return the keys of every page of a thing: back, copy, and a number for each section."""
    key = KeyNames(view).key
    numbers = [
        key(str(number), f"section('{name}')", name.capitalize(), name, f"Show its {name}.")
        for number, name in enumerate(sections, start=1)
    ]
    copied = "Copy what the marked row stands for."
    return [
        key("escape", "leave", "Back", "back", f"Go back; leave the {thing}.", is_shown=True),
        key("y", "copy", "Copy", "copy", copied, is_shown=True),
        *numbers,
    ]


class PageScreen(Screen[Path | None], Generic[Name, Page]):
    """A page; what it reads, and how its rows come from that, is each page's own."""

    CSS_PATH: ClassVar[CSSPathType | None] = "page.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012

    bar = getters.query_one(SectionBar)
    table = getters.query_one(RowsView)
    detail = getters.query_one(DetailPane)

    def __init__(
        self,
        *,
        home: LabHome,
        environment: Environment,
        clock: Callable[[], float],
        sections: tuple[Name, ...],
    ) -> None:
        super().__init__()
        self.home = home
        self.environment = environment
        self.clock = clock
        self.sections = sections
        self.section = sections[0]
        self.page: Page | None = None
        self._shown: object = None
        self._is_reading = False

    @abstractmethod
    def asked(self) -> object:
        """Return what is asked for now; equal where the same page answers it."""

    @abstractmethod
    def reading(self) -> Callable[[], Page | None]:
        """Return what reads the page that is asked for, None where it is as it was.

        It is called in a thread, and touches no widget.
        """

    @abstractmethod
    def draw(self) -> None:
        """Draw the page for the width that there is."""

    @abstractmethod
    def tell_problem(self, problem: str) -> None:
        """Say above the rows why the last reading failed; "" where it did not."""

    def on_mount(self) -> None:
        """Begin to read."""
        self.bar.selected = self.section
        self.show_rows((remark("Reading ..."),))
        self.table.focus()
        self.read_again()
        self.set_interval(READ_S, self.read_again)

    def on_resize(self) -> None:
        """Lay the rows out for the new width, once the table has it."""
        self.call_after_refresh(self.draw)

    @property
    def is_settled(self) -> bool:
        """Whether what is asked for is what is shown."""
        return self._shown == self.asked()

    def read_again(self) -> None:
        """Read the page, unless the last reading still goes on."""
        if not self._is_reading:
            self._is_reading = True
            self.read_page(self.asked(), self.reading())

    @work(thread=True, exit_on_error=False, group="page")
    def read_page(self, asked: object, read: Callable[[], Page | None]) -> None:
        """Tell what has changed."""
        try:
            page = read()
        except Exception as error:
            # Whatever the files hold: the page says so, and reads them again.
            self.post_message(PageRead[Page](asked, None, f"cannot read this: {error}"))
        else:
            self.post_message(PageRead(asked, page))

    @on(PageRead)
    def take_page(self, message: PageRead[Page]) -> None:
        """Show what was read, or read what is asked for by now."""
        self._is_reading = False
        if message.asked != self.asked():
            self.read_again()
            return
        self.tell_problem(message.problem)
        if message.page is not None:
            self.page = message.page
            self._shown = message.asked
            self.draw()
        elif message.problem and not self.is_settled:
            self.show_rows((remark(message.problem, "error"),))

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
        found = next((section for section in self.sections if section == name), self.section)
        if found != self.section:
            self.section = found
            self.bar.selected = found
            self.start_over()

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_copy(self) -> None:
        """Copy what the marked row stands for."""
        row = self.table.row
        offer_copy(self, self.home, row.copied() if row else "")

    def start_over(self) -> None:
        """Wait for a page that answers something else."""
        self.table.start_over()
        self.show_rows((remark("Reading ..."),))
        self.table.focus()
        self.refresh_bindings()
        self.read_again()

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show rows."""
        self.table.rows = tuple(rows)
