"""Where the text of the playground is typed; a long paste is handed on instead of edited."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.widgets import TextArea

# A line of this many characters is wrapped anew at every key, in some ten milliseconds.
MAX_EDIT_CHARS = 32_768


class TextEditor(TextArea):
    """The text; every change is looked at at once."""

    BINDING_GROUP_TITLE = "Text"
    HELP = """\
The text to look at: type or paste, and the tokens follow. A text of more than 32,768 characters,
pasted or opened, is shown as tokens but not edited. Tab leaves for the tokens.
"""

    @dataclass
    class Pasted(Message):
        """A text too long to edit was pasted."""

        text: str

    async def _on_paste(self, event: events.Paste) -> None:
        """Take a paste, unless it would make typing slow."""
        if len(self.text) + len(event.text) > MAX_EDIT_CHARS:
            event.prevent_default()
            event.stop()
            self.post_message(self.Pasted(event.text))
            return
        await super()._on_paste(event)
