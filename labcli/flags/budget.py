"""The options that limit what a run or a sweep may cost, and the budget that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from labcli.options import optional
from runs.scheduling.budget import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetOptions:
    """What a person may say about cost."""

    max_usd: Annotated[
        float | None, optional("--max-usd", "X", "Stop after a checkpoint when this is spent.")
    ] = None
    max_hours: Annotated[
        float | None,
        optional("--max-hours", "H", "Stop after a checkpoint at this many hours."),
    ] = None
    usd_per_hour: Annotated[
        float | None, optional("--usd-per-hour", "X", "Count this price, not the usual one.")
    ] = None

    @property
    def is_given(self) -> bool:
        """Whether anything was said."""
        return (self.max_usd, self.max_hours, self.usd_per_hour) != (None, None, None)

    def budget(self, known_usd_per_hour: float | None) -> Budget:
        """Return the budget, at the price that is known where none was given."""
        if not self.is_given:
            return Budget()
        price = known_usd_per_hour if self.usd_per_hour is None else self.usd_per_hour
        return Budget(max_usd=self.max_usd, max_hours=self.max_hours, usd_per_hour=price)
