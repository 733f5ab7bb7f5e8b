"""A question that is answered in words; a refusal is told in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

from runs.errors import UsageError


class AskTextScreen(ModalScreen[str | None]):
    """One line to type in; the result is what was typed, or None."""

    CSS_PATH = "modal.tcss"
    BINDING_GROUP_TITLE = "Type"
    HELP = "Type, then Enter; Escape leaves all as it is."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", id="ask.leave", tooltip="Leave all as it is."),
    ]

    field = getters.query_one(Input)
    told = getters.query_one("#told", Static)

    def __init__(
        self,
        *,
        question: str,
        hint: str,
        check: Callable[[str], None],
        known: Sequence[str] = (),
        text: str = "",
    ) -> None:
        """Take the question; `known` are lines to read first, `text` is what stands there.

        check: raises UsageError, with one line, for what cannot be taken.
        """
        super().__init__()
        self._question = question
        self._hint = hint
        self._check = check
        self._known = known
        self._text = text

    def compose(self) -> ComposeResult:
        """Return the question, the line and what the keys do."""
        with Vertical(id="dialog"):
            yield Static(self._question, classes="dialog-title", markup=False)
            if self._known:
                yield Static("\n".join(self._known), markup=False)
            yield Input(self._text, compact=True)
            yield Static(self._hint, id="told", classes="hint", markup=False)

    @on(Input.Submitted)
    def submit(self, event: Input.Submitted) -> None:
        """Close with the text, or say why it cannot be taken."""
        text = event.value.strip()
        try:
            self._check(text)
        except UsageError as error:
            self.told.update(str(error))
        else:
            self.dismiss(text)

    def action_leave(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


def ask_text(
    screen: Screen[Any],
    question: str,
    *,
    hint: str,
    check: Callable[[str], None],
    then: Callable[[str], object],
    known: Sequence[str] = (),
    text: str = "",
) -> None:
    """Ask over a screen, and go on with the answer when there is one; see AskTextScreen."""

    def answered(typed: str | None) -> None:
        if typed is not None:
            then(typed)

    asked = AskTextScreen(question=question, hint=hint, check=check, known=known, text=text)
    screen.app.push_screen(asked, answered)
