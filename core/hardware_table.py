"""The table of hardware figures: the file beside this module, and what a user adds to it.

Torch-free. The file says what each figure means and where it comes from.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from runs.errors import UsageError, nearest

GIB = 1024**3
_FILE = Path(__file__).with_name("hardware.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One kind of accelerator; per second, dense bfloat16. None where nothing is known."""

    bf16_flops: float
    fp8_flops: float | None = None
    bandwidth: float | None = None
    memory_gib: float | None = None
    usd_per_hour: float | None = None
    mfu: float | None = None
    mfu_source: str | None = None
    source: str = "the lab home's settings"

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            is_absent = value is None and spec.name != "bf16_flops"
            if is_absent or spec.name in ("source", "mfu_source"):
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
                raise UsageError(f"{spec.name} takes a number above 0, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareTable:
    """The figures of all cards by the words in their names, and of CPU cores."""

    cards: Mapping[str, Card]
    default_mfu: float
    default_mfu_source: str
    bf16_core_flops: float
    fp32_core_flops: float
    core_source: str

    def find(self, name: str) -> Card | None:
        """Return the card whose key is the longest among those in a device's name, or None."""
        found = [key for key in self.cards if _holds(name, key)]
        return self.cards[max(found, key=len)] if found else None

    def mfu(self, card: Card) -> tuple[float, str]:
        """Return the share of its peak that training reaches, and how that is known."""
        if card.mfu is None:
            return self.default_mfu, self.default_mfu_source
        return card.mfu, card.mfu_source or card.source

    def with_cards(self, added: Mapping[str, Any], *, where: str) -> HardwareTable:
        """Return the table with a user's cards; figures that one leaves out stay as they are.

        where: how a message calls the place that they come from.

        Raises:
            UsageError: a card without its peak, an unknown figure, or one that is no number.
        """
        cards = dict(self.cards)
        known = [spec.name for spec in fields(Card)]
        for name, figures in added.items():
            place = f'[hardware."{name}"] in {where}'
            if not isinstance(figures, dict):
                raise UsageError(f"{place} must be a section with figures such as bf16_flops")
            for key in figures:
                if key not in known:
                    raise UsageError(f"{place} has no figure {key!r}{nearest(key, known)}")
            before = cards.get(name)
            if "mfu" in figures:
                figures = {"mfu_source": where, **figures}
            if before is None and "bf16_flops" not in figures:
                raise UsageError(f"{place} needs bf16_flops, the card's peak")
            try:
                cards[name] = replace(before, **figures) if before else Card(**figures)
            except UsageError as error:
                raise UsageError(f"{place}: {error}") from None
        return replace(self, cards=cards)


@lru_cache(maxsize=1)
def shipped_table() -> HardwareTable:
    """Return the table as it comes with labcli."""
    body = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return HardwareTable(
        cards={name: Card(**figures) for name, figures in body["cards"].items()},
        default_mfu=body["default_mfu"],
        default_mfu_source=body["default_mfu_source"],
        bf16_core_flops=body["cpu"]["bf16_core_flops"],
        fp32_core_flops=body["cpu"]["fp32_core_flops"],
        core_source=body["cpu"]["source"],
    )


def _holds(name: str, key: str) -> bool:
    """Return whether a name holds a key as words of its own: an L40 is no L4."""
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(key)}(?![0-9A-Za-z])", name, re.I) is not None
