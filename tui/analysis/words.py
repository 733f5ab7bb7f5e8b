"""Figures and settings as the sentences about runs write them. Pure: no files, no widgets."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from runs.views.card import RunCard
from tui.shell import format as fmt

HASH_CHARS = 12
_ABSENT = "-"
# Of parameters and tokens people say billions.
_SCALES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def names_of(cards: Sequence[RunCard]) -> list[str]:
    """Return a short name for each run: its name, or its slug where names are shared."""
    names = [card.view.name for card in cards]
    return [card.view.slug if names.count(card.view.name) > 1 else card.view.name for card in cards]


def signed(value: float) -> str:
    """Return a difference with its sign and four digits after the point, or what it takes."""
    return f"{value:+.4f}" if abs(value) >= 0.001 or value == 0 else f"{value:+.2g}"


def figure_text(value: float) -> str:
    """Return a setting or a figure in the digits that are worth reading: whole ones as such."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e7:
        return str(int(value))
    return metric_text(value)


def metric_text(value: float) -> str:
    """Return a measured value in the digits that are worth reading."""
    if not math.isfinite(value):
        return str(value)
    is_usual = value == 0 or 0.001 <= abs(value) < 1000
    return f"{value:.4f}" if is_usual else f"{value:.4g}"


def short_count(value: float | None) -> str:
    """Return how many parameters or tokens, in three digits: 950, 23.8k, 11.5M, 1.38B, 4.20T."""
    return fmt.compact(value, _ABSENT, scales=_SCALES)


def cell(value: Any) -> str:
    """Return a value as it is read in a table; of a hash, its beginning."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return figure_text(float(value)) if isinstance(value, float) else str(value)
    text = str(value)
    is_hash = len(text) >= 40 and all(char in "0123456789abcdef" for char in text)
    return text[:HASH_CHARS] if is_hash else text


def pretty(data: Mapping[str, Any]) -> str:
    """Return an event as JSON on several lines."""
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)
