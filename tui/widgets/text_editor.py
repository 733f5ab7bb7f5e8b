"""Where the text of the playground is typed; a long paste is handed on instead of edited."""

from __future__ import annotations

import re
from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.widgets import TextArea

# A line of this many characters is wrapped anew at every key, in some ten milliseconds.
MAX_EDIT_CHARS = 32_768
# An editor would send them to the terminal as they are, and lose lone carriage returns.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def is_editable(text: str) -> bool:
    """Return whether a text is short and plain enough for the editor."""
    return len(text) <= MAX_EDIT_CHARS and _CONTROLS.search(text) is None


class TextEditor(TextArea):
    """The text; every change is looked at at once."""

    BINDING_GROUP_TITLE = "Text"
    HELP = """\
The text to look at: type or paste, and the tokens follow. A text of more than 32,768 characters, or
with control characters, is shown as tokens but not edited. Tab leaves for the tokens.
"""

    @dataclass
    class Pasted(Message):
        """A text too long to edit was pasted."""

        text: str

    async def _on_paste(self, event: events.Paste) -> None:
        """Take a paste, unless it is too long or holds control characters."""
        pasted = event.text.replace("\r\n", "\n").replace("\r", "\n")
        if len(self.text) + len(pasted) > MAX_EDIT_CHARS or not is_editable(pasted):
            event.prevent_default()
            event.stop()
            self.post_message(self.Pasted(pasted))
            return
        await super()._on_paste(event)
