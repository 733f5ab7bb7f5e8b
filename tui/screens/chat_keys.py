"""The keys of the chat; single letters work where no text is being written."""

from __future__ import annotations

from tui.shell.keys import KeyNames

_key = KeyNames("chat").key

CHAT_KEYS = (
    _key("i", "write", "Write", "write", "Go to the box and write.", is_shown=True),
    _key("m,ctrl+t", "model", "Model", "model", "Talk to another model.", is_shown=True),
    _key("g,ctrl+g", "settings", "Sampling", "settings", "Change how it draws.", is_shown=True),
    _key("r", "again", "Retry", "again", "Answer the question of the turn again.", is_shown=True),
    _key("e", "edit", "Edit", "edit", "Change the question of the turn.", is_shown=True),
    _key("y", "copy", "Copy", "copy", "Copy the answer of the turn.", is_shown=True),
    _key("s", "stop", "Stop", "stop", "Stop the answer."),
    _key("n", "clear", "New", "clear", "Start a new conversation.", is_shown=True),
    _key("w", "keep", "Save", "save", "Keep the talk in the lab home."),
    _key("up,k", "step(-1)", "Up", "up", "Go to the turn before."),
    _key("down,j", "step(1)", "Down", "down", "Go to the turn after."),
    _key("plus", "temperature(0.1)", "Warmer", "warmer", "Raise the temperature by 0.1."),
    _key("minus", "temperature(-0.1)", "Colder", "colder", "Lower the temperature by 0.1."),
    _key("greater_than_sign", "top_k(2.0)", "Wider", "wider", "Double top-k."),
    _key("less_than_sign", "top_k(0.5)", "Narrower", "narrower", "Halve top-k."),
)
