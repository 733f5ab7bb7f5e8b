"""A small question: which turn of the conversation to go to."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class JumpToTurn(ModalScreen[int | None]):
    """A number from 1 on; the result is the turn, None where the question was left."""

    CSS_PATH = "modal.tcss"
    BINDING_GROUP_TITLE = "Jump"
    HELP = "Enter goes to the turn of this number, Escape stays."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="jump-turn.leave", tooltip="Stay where you are."),
    ]

    def __init__(self, *, num_turns: int) -> None:
        super().__init__()
        self._num_turns = num_turns

    def compose(self) -> ComposeResult:
        """Return the question."""
        with Vertical(id="dialog"):
            yield Static(f"Turn, 1 to {self._num_turns}", classes="dialog-title", markup=False)
            yield Input(type="integer", id="turn", max_length=6)
            yield Static("Enter  go there     Esc  stay", classes="keys", markup=False)

    @on(Input.Submitted)
    def take(self, message: Input.Submitted) -> None:
        """Close with the turn."""
        if message.value.isdecimal():
            self.dismiss(min(max(int(message.value), 1), self._num_turns))

    def action_leave(self) -> None:
        """Close without an answer."""
        self.dismiss(None)
