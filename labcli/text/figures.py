"""The readable forms of numbers, times and sizes. Pure functions."""

from __future__ import annotations

import time

from tui.shell.format import duration

ABSENT = "-"


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
