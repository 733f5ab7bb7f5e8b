"""Text measured in the cells of a terminal, where some characters take two and some none. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

CUT = "~"


def width(text: str) -> int:
    """Return how many cells a text takes."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def cut(text: str, limit: int) -> str:
    """Return a text in at most `limit` cells, with a mark where it was cut."""
    if width(text) <= limit:
        return text
    kept, used = [], 0
    for char in text:
        used += _char_width(char)
        if used > limit - len(CUT):
            break
        kept.append(char)
    return ("".join(kept) + CUT)[: max(limit, 0)]


def grid(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: str = "",
    max_width: int | None = None,
) -> str:
    """Return a table with two spaces between columns; the last column is cut to `max_width`.

    `right` has one letter per column: "r" aligns that column to the right.
    """
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(width(line[column]) for line in lines) for column in range(len(header))]
    out = []
    for line in lines:
        parts = []
        for column, (text, wanted) in enumerate(zip(line, widths, strict=True)):
            pad = " " * (wanted - width(text))
            parts.append(pad + text if right[column : column + 1] == "r" else text + pad)
        whole = "  ".join(parts).rstrip()
        out.append(whole if max_width is None else cut(whole, max_width))
    return "\n".join(out)


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
