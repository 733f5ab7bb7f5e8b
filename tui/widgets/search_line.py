"""The line in which a search is typed; it is there only while one is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class SearchLine(Input):
    """Says at every key what is searched for, and when it is done with."""

    HELP = "Type what to look for; Enter goes back to the lines, Escape ends the search."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "End", id="search.end", tooltip="End the search."),
    ]
    DEFAULT_CSS = """
    SearchLine { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    SearchLine.-open { display: block; }
    SearchLine:focus { border: none; }
    """

    @dataclass
    class Sought(Message):
        """Something else is searched for; empty is nothing."""

        text: str

    @dataclass
    class Done(Message):
        """The search was typed."""

    def __init__(self) -> None:
        super().__init__(placeholder="search the log", id="log-search")

    def open(self) -> None:
        """Let a person type."""
        self.add_class("-open")
        self.focus()

    def action_leave(self) -> None:
        """End the search."""
        self.value = ""
        self.remove_class("-open")
        self.post_message(self.Done())

    @on(Input.Changed)
    def tell(self, message: Input.Changed) -> None:
        """Say what is searched for by now."""
        message.stop()
        self.post_message(self.Sought(message.value))

    @on(Input.Submitted)
    def finish(self, message: Input.Submitted) -> None:
        """Go back to the lines, which stay marked."""
        message.stop()
        if not self.value:
            self.remove_class("-open")
        self.post_message(self.Done())
