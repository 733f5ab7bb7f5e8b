"""Choosing a run: every run of the lab home, found as a person types."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from runs.errors import LabError
from runs.paths import LabHome
from runs.views.query import RunView, list_runs
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs

MAX_SHOWN = 200


@dataclass
class RunsFound(Message):
    """The lab home was read; `problem` says why it could not be."""

    runs: tuple[RunView, ...]
    problem: str = ""


class PickRunScreen(ModalScreen[Path | None]):
    """A search field over a list; the result is the directory of the run that was chosen."""

    CSS_PATH = "pick_model.tcss"
    BINDING_GROUP_TITLE = "Runs"
    HELP = "Type a part of a name, tag, state or id; Enter takes the marked run."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="pick.leave", tooltip="Choose none."),
        Binding("down", "move(1)", "Down", show=False, id="pick.down", tooltip="Mark the next."),
        Binding("up", "move(-1)", "Up", show=False, id="pick.up", tooltip="Mark the one before."),
    ]

    field = getters.query_one(Input)
    listed = getters.query_one(OptionList)
    notice = getters.query_one("#pick-notice", Static)

    def __init__(
        self,
        *,
        home: LabHome,
        glyphs: Glyphs,
        without: Collection[Path] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._home = home
        self._glyphs = glyphs
        self._without = frozenset(without)
        self._clock = clock
        self._runs: tuple[RunView, ...] = ()
        self._found: list[RunView] = []

    def compose(self) -> ComposeResult:
        """Return the field, the list and what is said when it is empty."""
        with Vertical(id="pick"):
            yield Input(placeholder="search: run, tag, state, id", id="pick-field")
            yield OptionList(id="pick-list", markup=False)
            yield Static("Reading the lab home ...", id="pick-notice", markup=False)

    def on_mount(self) -> None:
        """Read the lab home."""
        self.listed.can_focus = False
        self.listed.display = False
        self.read_runs()

    @work(thread=True, exclusive=True, exit_on_error=False, group="pick-run")
    def read_runs(self) -> None:
        """Tell which runs there are."""
        try:
            self.post_message(RunsFound(tuple(list_runs(self._home))))
        except (LabError, OSError) as error:
            self.post_message(RunsFound((), f"cannot read {self._home.runs_dir}: {error}"))

    @on(RunsFound)
    def take_runs(self, message: RunsFound) -> None:
        """Show what there is."""
        self._runs = tuple(
            run
            for run in message.runs
            if run.path not in self._without and run.state != "unreadable"
        )
        if message.problem:
            self.notice.update(message.problem)
        elif not self._runs:
            self.notice.update("There is no other run in this lab home yet.")
        else:
            self._show()

    @on(Input.Changed)
    def narrow(self) -> None:
        """Show what is left of the list."""
        if self._runs:
            self._show()

    @on(Input.Submitted)
    def take_marked(self) -> None:
        """Close with the marked run."""
        place = self.listed.highlighted
        if place is not None and place < len(self._found):
            self.dismiss(self._found[place].path)

    @on(OptionList.OptionSelected)
    def take_clicked(self, message: OptionList.OptionSelected) -> None:
        """Close with the run that was clicked."""
        self.dismiss(self._found[message.option_index].path)

    def action_move(self, by: int) -> None:
        """Mark another run."""
        if self._found:
            here = self.listed.highlighted or 0
            self.listed.highlighted = min(max(here + by, 0), len(self._found) - 1)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss(None)

    def _show(self) -> None:
        words = self.field.value.lower().split()
        self._found = [run for run in self._runs if all(word in _text(run) for word in words)]
        self._found = self._found[:MAX_SHOWN]
        self.listed.clear_options()
        self.listed.add_options([Option(self._row(run)) for run in self._found])
        self.listed.display = bool(self._found)
        self.notice.display = not self._found
        if self._found:
            self.listed.highlighted = 0
        else:
            self.notice.update(f"No run holds {self.field.value!r}.")

    def _row(self, run: RunView) -> Text:
        bpb = "" if run.val_bpb is None else f"{fmt.decimal(run.val_bpb)} bpb"
        state = f"{self._glyphs.state(run.state)} {run.state}"
        row = Text(no_wrap=True, overflow="ellipsis")
        row.append(f"{self._glyphs.cut(run.name, 34):<35} ", "bold")
        row.append(f"{state:<13}{bpb:<10}{fmt.age(self._clock() - run.created_s)}", "dim")
        return row


def _text(run: RunView) -> str:
    parts = (run.name, run.slug, run.run_id, run.state, run.recipe, run.preset, *run.tags)
    return " ".join(parts).lower()
