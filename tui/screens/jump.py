"""Jump mode: a letter on every pane, and the letter typed is the pane that gets the focus."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

# Home row first: the hands lie there.
LETTERS = "asdfghjkl" + "".join(sorted(set(string.ascii_lowercase) - set("asdfghjkl")))


class JumpScreen(ModalScreen[Widget | None]):
    """Letters over the screen below; the result is the widget to focus, or none."""

    CSS_PATH = "modal.tcss"
    BINDING_GROUP_TITLE = "Jump"
    HELP = "The letter on a pane gives it the focus; any other key goes back."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="jump.leave", tooltip="Stay where you are."),
    ]

    def __init__(self, panes: Sequence[Widget]) -> None:
        super().__init__()
        self._panes = dict(zip(LETTERS, panes, strict=False))

    def compose(self) -> ComposeResult:
        """Return one label per pane."""
        for letter in self._panes:
            yield Static(f" {letter.upper()} ", id=f"jump-{letter}", classes="jump", markup=False)

    def on_mount(self) -> None:
        """Put every label on the corner of its pane."""
        for letter, pane in self._panes.items():
            self.query_one(f"#jump-{letter}").absolute_offset = pane.region.offset

    def on_key(self, event: events.Key) -> None:
        """Go where the letter says; any other key goes back."""
        event.stop()
        self.dismiss(self._panes.get(event.key.lower()))

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss(None)
