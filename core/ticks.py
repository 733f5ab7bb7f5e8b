"""Round numbers for axes. Pure and torch-free."""

from __future__ import annotations

import math


def nice_step(span: float, num_ticks: int) -> float:
    """Return 1, 2, 2.5 or 5 times a power of ten that cuts `span` about `num_ticks` times."""
    rough = span / max(num_ticks, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 2.5, 5.0):
        if rough <= factor * power * 1.0001:
            return factor * power
    return 10.0 * power
