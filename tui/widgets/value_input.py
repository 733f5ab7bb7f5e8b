"""The field in which the value of the marked row of a form is edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input

from tui.shell.keys import KeyNames

PAGE = 10
_key = KeyNames("value").key


class ValueInput(Input):
    """One value; the arrows leave it for another row, or turn through its choices."""

    BINDING_GROUP_TITLE = "Value"
    HELP = """\
What the marked row of the form holds. Typing replaces it and is checked at once; Enter and the
arrows up and down go to another row. Where a row has choices, left and right turn through them,
and what is begun can be completed with the right arrow. An emptied row has its default again.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("down,enter", "row(1)", "Next row", "down", "Go to the next row."),
        _key("up", "row(-1)", "Row before", "up", "Go to the row before."),
        _key("pagedown", f"row({PAGE})", "Page down", "page", "Go ten rows down."),
        _key("pageup", f"row(-{PAGE})", "Page up", "back", "Go ten rows up."),
        _key("ctrl+down", "group(1)", "Next stage", "group",
             "Go to the first row of the next stage."),
        _key("ctrl+up", "group(-1)", "Stage before", "group_before",
             "Go to the first row of this stage, or of the one before."),
    ]  # fmt: skip

    @dataclass
    class Edited(Message):
        """The value of a row was changed by hand."""

        key: str
        text: str

    @dataclass
    class Moved(Message):
        """Another row is wanted: so many rows, or groups, further."""

        by: int
        is_group: bool = False

    def __init__(self, *, widget_id: str) -> None:
        super().__init__(id=widget_id, select_on_focus=False)
        self._key = ""
        self._choices: tuple[str, ...] = ()
        self._is_open = True

    @property
    def is_at(self) -> str:
        """The key of the row whose value this is."""
        return self._key

    def show(self, key: str, text: str) -> None:
        """Take another row; what is typed next replaces its value."""
        self._key = key
        with self.prevent(Input.Changed):
            self.value = text
        self.action_select_all()

    def offer(self, choices: Sequence[str], is_open: bool) -> None:
        """Take what the row may hold."""
        if (tuple(choices), is_open) == (self._choices, self._is_open):
            return
        self._choices, self._is_open = tuple(choices), is_open
        self.suggester = SuggestFromList(choices, case_sensitive=False) if choices else None

    def on_input_changed(self, message: Input.Changed) -> None:
        """Tell the row with the text: the form may be at another one by then."""
        message.stop()
        self.post_message(self.Edited(self._key, self.value))

    def on_key(self, event: events.Key) -> None:
        """Leave the row in its turn among the letters.

        A binding would run before letters that wait: what is typed fast would land elsewhere.
        """
        moves = {"enter": 1, "down": 1, "up": -1, "pagedown": PAGE, "pageup": -PAGE}
        if event.key in moves:
            event.stop()
            event.prevent_default()
            self.action_row(moves[event.key])
        elif event.key in ("left", "right") and self._turns(event.key):
            event.stop()
            event.prevent_default()
            self._turn(1 if event.key == "right" else -1)

    def action_row(self, by: int) -> None:
        """Ask for another row."""
        self.post_message(self.Moved(by))

    def action_group(self, by: int) -> None:
        """Ask for the first row of another group."""
        self.post_message(self.Moved(by, is_group=True))

    def _turns(self, key: str) -> bool:
        """Return whether the arrow chooses: in an open row only among the choices as they are."""
        return bool(self._choices) and (
            not self._is_open or self.value in self._choices or not self.value
        )

    def _turn(self, by: int) -> None:
        here = self._choices.index(self.value) if self.value in self._choices else -1
        if here < 0 and by < 0:
            here = 0
        self.value = self._choices[(here + by) % len(self._choices)]
        self.action_select_all()
