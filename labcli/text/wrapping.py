"""Lines broken between words to the width of a terminal."""

from __future__ import annotations

import textwrap

# Words in a column that is narrower than this are not worth breaking lines for.
LEAST_COLUMN = 20


def wrapped(text: str, width: int, *, start: str = "", hang: str = "") -> list[str]:
    """Return lines of at most `width`, the first after `start`, the others after `hang`.

    Words stay whole, so that a path can be copied; one that is wider is a line of its own.
    """
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def hung(start: str, text: str, width: int | None) -> list[str]:
    """Return a text behind `start`, broken to a width; its other lines stand below it.

    width: None leaves the line whole, as pipes want it.
    """
    line = f"{start}{text}".rstrip()
    if width is None or len(line) <= width or width - len(start) < LEAST_COLUMN:
        return [line]
    return wrapped(text, width, start=start, hang=" " * len(start))
