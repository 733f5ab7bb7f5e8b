"""Lines broken between words to the width of a terminal."""

from __future__ import annotations

import textwrap


def wrapped(text: str, width: int, *, start: str, hang: str) -> list[str]:
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
