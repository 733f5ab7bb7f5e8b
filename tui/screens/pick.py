"""Choosing one of many: a search field over a list of everything of a kind in the lab home."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from runs.errors import LabError
from runs.paths import LabHome
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs
from tui.shell.keys import KeyNames

MAX_SHOWN = 200
Item = TypeVar("Item")
Chosen = TypeVar("Chosen")
_key = KeyNames("pick").key


@dataclass
class ItemsRead(Message, Generic[Item]):
    """The lab home was read; `problem` says why it could not be."""

    items: tuple[Item, ...]
    problem: str = ""


class PickScreen(ModalScreen[Chosen | None], Generic[Item, Chosen]):
    """A search field over a list; the result is what was chosen.

    A kind says which there are, which of them hold the words, how one is drawn and what it
    stands for.
    """

    CSS_PATH = "pick.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("escape", "leave", "Back", "leave", "Choose none.", is_shown=True),
        _key("down", "move(1)", "Down", "down", "Mark the next."),
        _key("up", "move(-1)", "Up", "up", "Mark the one before."),
        _key("pagedown", "move(8)", "Page down", "page-down", "Go eight down."),
        _key("pageup", "move(-8)", "Page up", "page-up", "Go eight up."),
    ]
    KIND: ClassVar[str]
    PLACEHOLDER: ClassVar[str]
    NOTHING: ClassVar[str]

    field = getters.query_one(Input)
    listed = getters.query_one(OptionList)
    notice = getters.query_one("#pick-notice", Static)

    def __init__(
        self, *, home: LabHome, glyphs: Glyphs, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self.home = home
        self.glyphs = glyphs
        self.clock = clock
        self._items: tuple[Item, ...] = ()
        self._found: list[Item] = []

    @abstractmethod
    def read_items(self) -> Sequence[Item]:
        """Return all there are; called in a thread.

        Raises:
            LabError, OSError: the lab home cannot be read.
        """

    @abstractmethod
    def search(self, items: Sequence[Item], words: str) -> Sequence[Item]:
        """Return those that hold every word, the best first."""

    @abstractmethod
    def row(self, item: Item) -> Text:
        """Return the line of one."""

    @abstractmethod
    def chosen(self, item: Item) -> Chosen:
        """Return what the screen closes with."""

    def compose(self) -> ComposeResult:
        """Return the field, the list and what is said when it is empty."""
        with Vertical(id="pick"):
            yield Input(placeholder=self.PLACEHOLDER, id="pick-field")
            yield OptionList(id="pick-list", markup=False)
            yield Static("Reading the lab home ...", id="pick-notice", markup=False)

    def on_mount(self) -> None:
        """Read the lab home."""
        self.listed.can_focus = False
        self.listed.display = False
        self.read_home()

    @work(thread=True, exclusive=True, exit_on_error=False, group="pick")
    def read_home(self) -> None:
        """Tell which there are."""
        try:
            self.post_message(ItemsRead(tuple(self.read_items())))
        except (LabError, OSError) as error:
            self.post_message(ItemsRead((), f"cannot read {self.home.runs_dir}: {error}"))

    @on(ItemsRead)
    def take_items(self, message: ItemsRead[Item]) -> None:
        """Show what there is."""
        self._items = message.items
        if message.problem:
            self.notice.update(message.problem)
        elif not message.items:
            self.notice.update(self.NOTHING)
        else:
            self._show()

    @on(Input.Changed)
    def narrow(self) -> None:
        """Show what is left of the list."""
        if self._items:
            self._show()

    @on(Input.Submitted)
    def take_marked(self) -> None:
        """Close with the marked one."""
        place = self.listed.highlighted
        if place is not None and place < len(self._found):
            self.dismiss(self.chosen(self._found[place]))

    @on(OptionList.OptionSelected)
    def take_clicked(self, message: OptionList.OptionSelected) -> None:
        """Close with the one that was clicked."""
        self.dismiss(self.chosen(self._found[message.option_index]))

    def action_move(self, by: int) -> None:
        """Mark another one."""
        if self._found:
            here = self.listed.highlighted or 0
            self.listed.highlighted = min(max(here + by, 0), len(self._found) - 1)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss(None)

    def _show(self) -> None:
        self._found = list(self.search(self._items, self.field.value)[:MAX_SHOWN])
        self.listed.clear_options()
        self.listed.add_options([Option(self.row(item)) for item in self._found])
        self.listed.display = bool(self._found)
        self.notice.display = not self._found
        if self._found:
            self.listed.highlighted = 0
        else:
            self.notice.update(f"No {self.KIND} holds {self.field.value!r}.")


def bpb_text(val_bpb: float | None) -> str:
    """Return the quality of a model in bits per byte, nothing where it was not measured."""
    return "" if val_bpb is None else f"{fmt.decimal(val_bpb)} bpb"
