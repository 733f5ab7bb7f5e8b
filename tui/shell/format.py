"""Numbers, sizes and times as the app shows them: short, and of one width where they align."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

SCALES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def counted(num: int, noun: str) -> str:
    """Return a count with its noun: 1 file, 1,234 files."""
    return f"{num:,} {noun}{'' if num == 1 else 's'}"


def compact(
    value: float | None, absent: str = "", *, scales: Sequence[tuple[float, str]] = SCALES
) -> str:
    """Return a count in at most five characters: 950, 23.8k, 1.38G."""
    if value is None:
        return absent
    if not math.isfinite(value):
        return not_finite(value)
    for scale, suffix in scales:
        # 999.95 would print as 1000.0: it belongs to the next scale.
        if abs(value) >= scale * 0.9995:
            scaled = value / scale
            digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{digits}f}{suffix}"
    return f"{value:.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2f}"


def decimal(value: float | None, digits: int = 3, absent: str = "") -> str:
    """Return a loss, a rate or bits per byte with a fixed number of digits."""
    if value is None:
        return absent
    if not math.isfinite(value):
        return not_finite(value)
    if abs(value) >= 1000:
        return compact(value)
    return f"{value:.{digits}f}"


def percent(share: float | None, digits: int = 0, absent: str = "") -> str:
    """Return a share between 0 and 1 as percent."""
    if share is None:
        return absent
    if not math.isfinite(share):
        return not_finite(share)
    return f"{share * 100:.{digits}f}%"


def not_finite(value: float) -> str:
    """Return NaN, inf or -inf."""
    return "NaN" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def duration(seconds: float | None, absent: str = "") -> str:
    """Return a time span in at most six characters: 0.4s, 59s, 12m05s, 3h20m, 4d02h."""
    if seconds is None or not math.isfinite(seconds):
        return absent
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}h"


def age(seconds: float) -> str:
    """Return how long ago something was, in its largest unit: 12s, 5m, 3h, 2d."""
    whole = max(int(seconds), 0)
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "m")):
        if whole >= unit:
            return f"{whole // unit}{name}"
    return f"{whole}s"


def size(num_bytes: float) -> str:
    """Return a size in binary units: 512 B, 12.3 MiB."""
    amount = float(num_bytes)
    for unit in ("B", "KiB", "MiB"):
        if abs(amount) < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB" if abs(amount) < 1024 else f"{amount / 1024:.1f} TiB"


def clock(t: float) -> str:
    """Return a unix time as the hour, minute and second where the reader is."""
    return time.strftime("%H:%M:%S", time.localtime(t))


def below_home(path: Path) -> str:
    """Return a path as people write it: with a tilde when it lies below their home."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except ValueError:
        return str(path)
