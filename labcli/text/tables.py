"""Plain text tables and the readable forms of numbers, times and sizes. Pure functions."""

from __future__ import annotations

import time
from collections.abc import Sequence

from labcli.text.wrapping import hung
from tui.shell.format import duration

ABSENT = "-"


def render(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: str = "",
    width: int | None = None,
) -> str:
    """Return a table with two spaces between columns.

    right: one letter per column; "r" aligns that column to the right.
    width: the columns to which the text of the last one is broken; None leaves it whole.
    """
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        parts = [
            text.rjust(room) if right[column : column + 1] == "r" else text.ljust(room)
            for column, (text, room) in enumerate(zip(row, widths, strict=True))
        ]
        start = "".join(f"{part}  " for part in parts[:-1])
        lines += hung(start, parts[-1].rstrip(), width)
    return "\n".join(lines)


def seconds(value: float | None) -> str:
    """Return a duration: 4.2s, 3m12s, 2h05m, 1d04h."""
    return duration(value, ABSENT)


def size(num_bytes: float | None) -> str:
    """Return a size in binary units: 512 B, 1.5 MiB, 12 GiB."""
    if num_bytes is None:
        return ABSENT
    value, unit = float(num_bytes), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, bigger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"


def figure(value: float | None, digits: int = 4) -> str:
    """Return a measured number with fixed digits, or a dash when there is none."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """Return a share as a percentage with one digit."""
    return ABSENT if share is None else f"{100 * share:.1f}%"


def when(stamp_s: float | None) -> str:
    """Return a moment in local time, to the minute."""
    if stamp_s is None:
        return ABSENT
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(stamp_s))
