"""The keys of the playground; they work while a text is being typed."""

from __future__ import annotations

from textual.binding import Binding

PLAYGROUND_KEYS = (
    Binding("ctrl+t", "pick", "Tokenizers", id="pg.pick", tooltip="Choose the tokenizers."),
    Binding("ctrl+l", "lens", "Lens", id="pg.lens", tooltip="Change to the next lens."),
    Binding("ctrl+r", "open", "Open", id="pg.open", tooltip="Open a text file."),
    Binding("ctrl+n", "clear", "New", id="pg.clear", tooltip="Begin with an empty text."),
    Binding("ctrl+s", "copy", "Copy", id="pg.copy", tooltip="Copy the ids of the tokens."),
    Binding(
        "ctrl+g",
        "specials",
        "Specials",
        show=False,
        id="pg.specials",
        tooltip="Read names such as <|bos|> as special tokens, or as plain text again.",
    ),
    Binding(
        "escape",
        "edit",
        "Edit",
        show=False,
        id="pg.edit",
        tooltip="Go back to the text.",
    ),
)
