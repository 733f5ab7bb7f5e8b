"""What a terminal may be sent of a text that a model wrote. Pure."""

from __future__ import annotations

REPLACEMENT = "\ufffd"


def printable(text: str) -> str:
    """Return text without control characters, which a model could use to steer the terminal.

    Line breaks and tabs stay, carriage returns go, the rest becomes U+FFFD.
    """
    return "".join(
        char if char.isprintable() or char in "\n\t" else REPLACEMENT
        for char in text.replace("\r", "")
    )
