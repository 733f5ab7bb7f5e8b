"""Axis labels: round numbers inside a range, each with as many digits as it needs. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.ticks import nice_step
from tui.shell.format import SCALES, compact


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A labelled value; `share` is its place in the range, 0 at the start and 1 at the end."""

    share: float
    label: str


def linear_ticks(
    low: float, high: float, num_ticks: int, *, is_percent: bool = False
) -> list[Tick]:
    """Return ticks at round values from `low` to `high`; at least the two ends."""
    span = high - low
    # Below this a float has no room for round values between the ends.
    if not math.isfinite(span) or span <= 1e-12 * max(abs(low), abs(high), 1e-280):
        return []
    step = nice_step(span, num_ticks)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    values = [index * step for index in range(first, min(last, first + 50) + 1)]
    if len(values) < 2:
        step, values = span, [low, high]
    return [
        Tick(share=min(max((value - low) / span, 0.0), 1.0), label=_label(value, step, is_percent))
        for value in values
    ]


def log_ticks(low: float, high: float, num_ticks: int, *, is_percent: bool = False) -> list[Tick]:
    """Return ticks for a log10 range: powers of ten and, in short ranges, 2 and 5 of them."""
    if not math.isfinite(high - low) or high - low <= 0 or high > 300 or low < -300:
        return []
    candidates = [
        math.log10(factor) + power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for factor in ((1, 2, 3, 4, 5, 6, 7, 8, 9) if high - low < 1 else (1, 2, 5))
    ]
    inside = [value for value in candidates if low <= value <= high]
    if len(inside) < 2:
        inside = [low, high]
    stride = max(1, math.ceil(len(inside) / max(num_ticks + 1, 2)))
    return [
        Tick(share=(value - low) / (high - low), label=_short(10.0**value, is_percent))
        for value in inside[::stride]
    ]


def step_label(step: float) -> str:
    """Return an x value as its axis shows it."""
    return f"{step:,.0f}" if abs(step) < 100_000 else compact(step)


def _label(value: float, step: float, is_percent: bool) -> str:
    if is_percent:
        return f"{value * 100:.{min(_digits(step * 100), 3)}f}%"
    for scale, suffix in SCALES:
        if abs(value) >= scale:
            return f"{value / scale:.{min(_digits(step / scale), 3)}f}{suffix}"
    digits = _digits(step)
    if digits > 5:
        return f"{value:.1e}"
    return f"{value:.{digits}f}" if value else "0"


def _digits(step: float) -> int:
    """Return how many decimals tell multiples of `step` apart."""
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step * 10**digits, 6) != round(step * 10**digits):
        digits += 1
    return digits


def _short(value: float, is_percent: bool) -> str:
    if is_percent:
        return f"{value * 100:.3g}%"
    return compact(value) if value >= 1000 else f"{value:.3g}"
