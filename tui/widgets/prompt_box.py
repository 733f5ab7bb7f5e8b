"""Where a person writes what a model is asked: Enter sends, Ctrl+J begins a new line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea


class PromptBox(TextArea):
    """A text of a few lines; the up key on its first line brings earlier ones back."""

    BINDING_GROUP_TITLE = "Prompt"
    HELP = """\
Write what the model is asked. Enter sends it, Ctrl+J begins a new line, Up on the first line
brings earlier texts back. Escape leaves the box, so that single letters are keys again.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+j,shift+enter,alt+enter",
            "new_line",
            "Line",
            show=False,
            id="prompt.line",
            tooltip="Begin a new line.",
        ),
        Binding(
            "escape", "leave", "Keys", id="prompt.leave", tooltip="Leave the box for the keys."
        ),
    ]
    DEFAULT_CSS = """
    PromptBox {
        height: auto;
        min-height: 3;
        max-height: 8;
        border: round $panel;
        background: $background;
        padding: 0 1;
        &:focus { border: round $primary; }
    }
    """

    @dataclass
    class Sent(Message):
        """A text was sent."""

        text: str

    class Left(Message):
        """The person wants the keys."""

    def __init__(self, placeholder: str) -> None:
        super().__init__(
            soft_wrap=True, show_line_numbers=False, placeholder=placeholder, id="prompt"
        )
        self.highlight_cursor_line = False
        self._earlier: list[str] = []
        self._place = 0

    def on_key(self, event: events.Key) -> None:
        """Send at Enter, in its turn among the letters.

        A binding would run before letters that wait: what is typed fast would be cut short.
        """
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.action_send()

    def action_send(self) -> None:
        """Send what is written, unless that is nothing."""
        text = self.text.strip()
        if not text:
            return
        if self._earlier[-1:] != [text]:
            self._earlier.append(text)
        self._place = len(self._earlier)
        self.clear()
        self.post_message(self.Sent(text))

    def action_new_line(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    def action_leave(self) -> None:
        """Tell that the keys are wanted."""
        self.post_message(self.Left())

    def action_cursor_up(self, select: bool = False) -> None:
        """Go a line up, from the first one to what was sent before."""
        if self.cursor_location[0] == 0 and not select and self._place > 0:
            self._bring(self._place - 1)
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Go a line down, from the last one to what was sent after."""
        is_last = self.cursor_location[0] == self.document.line_count - 1
        if is_last and not select and self._place < len(self._earlier):
            self._bring(self._place + 1)
        else:
            super().action_cursor_down(select)

    def write(self, text: str) -> None:
        """Put a text in the box and the cursor behind it."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    def _bring(self, place: int) -> None:
        self._place = place
        self.write(self._earlier[place] if place < len(self._earlier) else "")
