"""Small screens on top of another: a yes-or-no question, and the help of a widget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static


class ConfirmScreen(ModalScreen[bool]):
    """A question that is answered with Enter or Escape; the result is the answer."""

    CSS_PATH = "modal.tcss"
    BINDING_GROUP_TITLE = "Question"
    HELP = "Enter or y does what is asked; Escape or n leaves all as it is."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "answer(True)", "Yes", id="confirm.yes", tooltip="Do it."),
        Binding("escape,n", "answer(False)", "No", id="confirm.no", tooltip="Leave it."),
    ]

    def __init__(self, *, question: str, consequence: str, yes: str) -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence
        self._yes = yes

    def compose(self) -> ComposeResult:
        """Return the question, what will happen, and the two keys."""
        with Vertical(id="dialog"):
            yield Static(self._question, classes="dialog-title", markup=False)
            yield Static(self._consequence, markup=False)
            yield Static(f"Enter  {self._yes}     Esc  go back", classes="keys", markup=False)

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        self.dismiss(answer)


def confirm(
    screen: Screen[Any], question: str, *, consequence: str, yes: str, then: Callable[[], object]
) -> None:
    """Ask over a screen whether to do something, and do it when the answer is yes."""

    def answered(is_yes: bool | None) -> None:
        if is_yes:
            then()

    asked = ConfirmScreen(question=question, consequence=consequence, yes=yes)
    screen.app.push_screen(asked, answered)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHelp:
    """A key and what it does."""

    key: str
    what: str


class HelpScreen(ModalScreen[None]):
    """What the focused widget is for, and every key that works there."""

    CSS_PATH = "modal.tcss"
    BINDING_GROUP_TITLE = "Help"
    HELP = "What has the focus, and every key that works there. Escape goes back to it."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q", "close", "Close", id="help.close", tooltip="Close this help."),
    ]

    def __init__(self, *, title: str, text: str, keys: Sequence[KeyHelp]) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Return the explanation and the table of keys."""
        with VerticalScroll(id="dialog", classes="help", can_focus=True):
            yield Static(self._title, classes="dialog-title", markup=False)
            yield Static(" ".join(self._text.split()), markup=False)
            yield Static(self._table(), classes="keys")
            yield Static("Esc  close", classes="hint", markup=False)

    def action_close(self) -> None:
        """Close the help."""
        self.dismiss(None)

    def _table(self) -> Text:
        width = max((len(item.key) for item in self._keys), default=0) + 2
        table = Text()
        for place, item in enumerate(self._keys):
            table.append("\n" if place else "")
            table.append(item.key.ljust(width), "bold")
            table.append(item.what)
        return table
