"""Tables, fences and readable numbers for Markdown files. Pure and torch-free."""

from __future__ import annotations

import re
from collections.abc import Sequence

ABSENT = "-"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first column is aligned to the left, the others to the right."""
    marks = ["---", *["---:"] * (len(header) - 1)]
    lines = [header, marks, *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def fence(text: str) -> str:
    """Return text as a block that is shown as it is, whatever backticks it holds."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    mark = "`" * max(3, longest + 1)
    return f"{mark}text\n{text}\n{mark}"


def count(value: float | None) -> str:
    """Return a count in three digits: 950, 23.8k, 11.5M, 1.38B."""
    if value is None:
        return ABSENT
    for limit, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """Return a duration: 4.2 s, 3 min 12 s, 2 h 05 min."""
    if seconds is None:
        return ABSENT
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def figure(value: float | None, digits: int = 4) -> str:
    """Return a measured number with fixed digits."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """Return a share as a percentage with one digit."""
    return ABSENT if share is None else f"{100 * share:.1f}%"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
