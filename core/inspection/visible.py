"""Bytes as text that is safe and plain on a terminal. Torch-free."""

from __future__ import annotations

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def visible(data: bytes) -> str:
    """Return the bytes as text: what UTF-8 cannot decode as \\xNN, what does not print escaped.

    Control characters, escape sequences, marks that turn the writing direction and every white
    space but the plain space are escaped, so a text cannot drive the terminal it is shown on.
    """
    out = []
    for char in data.decode("utf-8", "surrogateescape"):
        code = ord(char)
        if char in _NAMED:
            out.append(_NAMED[char])
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif char.isprintable():
            out.append(char)
        else:
            out.append(char.encode("unicode_escape").decode())
    return "".join(out)


def quoted(data: bytes) -> str:
    """Return the visible form in double quotes, which show the spaces at its ends."""
    return '"' + visible(data).replace('"', '\\"') + '"'
