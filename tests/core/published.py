"""nanochat's published rules, as several tests need them."""

from __future__ import annotations


def published_rate(step: int, total: int) -> float:
    """Return nanochat's factor: 40 steps up, the last 65 percent down to 5 percent."""
    down = round(0.65 * total)
    if step < 40:
        return (step + 1) / 40
    if step <= total - down:
        return 1.0
    left = (total - step) / down
    return left + (1 - left) * 0.05
