"""The values that people type in a filter: counts with a suffix, time spans, moments. Pure."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_COUNT = re.compile(rf"(?P<value>{_NUMBER})(?P<suffix>[kKMGBT]?)")
_SPAN = re.compile(rf"(?P<value>{_NUMBER})(?P<suffix>s|m|h|d|w)")
_COUNT_UNITS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
_SPAN_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DATES = (("%Y-%m-%d", 86_400.0), ("%Y-%m-%dT%H:%M", 60.0), ("%Y-%m-%dT%H:%M:%S", 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch of time in Unix seconds, the end not included; a moment has no length."""

    start_s: float
    end_s: float


def parse_count(text: str) -> float | None:
    """Return a number such as 12, 1e-3, 5k, 1.5B, nan or inf; None when it is none."""
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return float(text)
    found = _COUNT.fullmatch(text)
    return float(found["value"]) * _COUNT_UNITS[found["suffix"]] if found else None


def parse_span(text: str) -> float | None:
    """Return a time span such as 90s, 30m, 2h, 1.5d or 2w in seconds; None when it is none."""
    found = _SPAN.fullmatch(text)
    return float(found["value"]) * _SPAN_UNITS[found["suffix"]] if found else None


def parse_period(text: str, now_s: float) -> Period | None:
    """Return the moment a span ago, or the day, minute or second that a local date names."""
    span_s = parse_span(text)
    if span_s is not None:
        return Period(start_s=now_s - span_s, end_s=now_s - span_s)
    word = text.lower()
    if word in ("today", "yesterday"):
        day = time.strftime("%Y-%m-%d", time.localtime(now_s))
        start_s = time.mktime(time.strptime(day, "%Y-%m-%d"))
        if word == "yesterday":
            return Period(start_s=start_s - 86_400.0, end_s=start_s)
        return Period(start_s=start_s, end_s=start_s + 86_400.0)
    for form, length_s in _DATES:
        try:
            start_s = time.mktime(time.strptime(text, form))
        except (ValueError, OverflowError):
            continue
        return Period(start_s=start_s, end_s=start_s + length_s)
    return None
