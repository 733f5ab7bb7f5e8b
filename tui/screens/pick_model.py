"""Choosing a model: every checkpoint of the lab home, found as a person types."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
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
from tui.answering.models import ModelEntry, list_models, search
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs

MAX_SHOWN = 200
NO_MODELS = """\
There is no checkpoint in this lab home yet.

Train one in another terminal:  labcli run speedrun"""


@dataclass
class ModelsListed(Message):
    """The lab home was read; `problem` says why it could not be."""

    models: tuple[ModelEntry, ...]
    problem: str = ""


class PickModelScreen(ModalScreen[ModelEntry | None]):
    """A search field over a list; the result is the model that was chosen."""

    CSS_PATH = "pick_model.tcss"
    BINDING_GROUP_TITLE = "Models"
    HELP = "Type a part of a name, stage, tag or id; Enter takes the marked model."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="models.leave", tooltip="Choose none."),
        Binding("down", "move(1)", "Down", show=False, id="models.down", tooltip="Mark the next."),
        Binding("up", "move(-1)", "Up", show=False, id="models.up", tooltip="Mark the one before."),
        Binding(
            "pagedown", "move(8)", "Page", show=False, id="models.page", tooltip="Go eight down."
        ),
        Binding("pageup", "move(-8)", "Page", show=False, id="models.back", tooltip="Go eight up."),
    ]

    field = getters.query_one(Input)
    listed = getters.query_one(OptionList)
    notice = getters.query_one("#pick-notice", Static)

    def __init__(
        self, *, home: LabHome, glyphs: Glyphs, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self._home = home
        self._glyphs = glyphs
        self._clock = clock
        self._models: tuple[ModelEntry, ...] = ()
        self._found: list[ModelEntry] = []

    def compose(self) -> ComposeResult:
        """Return the field, the list and what is said when it is empty."""
        with Vertical(id="pick"):
            yield Input(placeholder="search: run, stage, step, tag", id="pick-field")
            yield OptionList(id="pick-list", markup=False)
            yield Static("Reading the lab home ...", id="pick-notice", markup=False)

    def on_mount(self) -> None:
        """Read the lab home."""
        self.listed.can_focus = False
        self.listed.display = False
        self.read_models()

    @work(thread=True, exclusive=True, exit_on_error=False, group="models")
    def read_models(self) -> None:
        """Tell which models there are."""
        try:
            self.post_message(ModelsListed(tuple(list_models(self._home))))
        except (LabError, OSError) as error:
            self.post_message(ModelsListed((), f"cannot read {self._home.runs_dir}: {error}"))

    @on(ModelsListed)
    def take_models(self, message: ModelsListed) -> None:
        """Show what there is."""
        self._models = message.models
        if message.problem:
            self.notice.update(message.problem)
        elif not message.models:
            self.notice.update(NO_MODELS)
        else:
            self._show()

    @on(Input.Changed)
    def narrow(self) -> None:
        """Show what is left of the list."""
        if self._models:
            self._show()

    @on(Input.Submitted)
    def take_marked(self) -> None:
        """Close with the marked model."""
        place = self.listed.highlighted
        if place is not None and place < len(self._found):
            self.dismiss(self._found[place])

    @on(OptionList.OptionSelected)
    def take_clicked(self, message: OptionList.OptionSelected) -> None:
        """Close with the model that was clicked."""
        self.dismiss(self._found[message.option_index])

    def action_move(self, by: int) -> None:
        """Mark another model."""
        if self._found:
            here = self.listed.highlighted or 0
            self.listed.highlighted = min(max(here + by, 0), len(self._found) - 1)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss(None)

    def _show(self) -> None:
        self._found = search(self._models, self.field.value)[:MAX_SHOWN]
        self.listed.clear_options()
        self.listed.add_options([Option(self._row(model)) for model in self._found])
        self.listed.display = bool(self._found)
        self.notice.display = not self._found
        if self._found:
            self.listed.highlighted = 0
        else:
            self.notice.update(f"No model holds {self.field.value!r}.")

    def _row(self, model: ModelEntry) -> Text:
        bpb = "" if model.val_bpb is None else f"{fmt.decimal(model.val_bpb)} bpb"
        state = f"{self._glyphs.state(model.state)} {model.state}"
        age = fmt.age(self._clock() - model.created_s)
        kind = "text" if model.is_base else "chat"
        row = Text(no_wrap=True, overflow="ellipsis")
        row.append(f"{model.name:<36} ", "bold" if model.is_newest else "")
        row.append(f"{kind:<5}{bpb:<10}{state:<13}{age}", "dim")
        return row
