"""How a training gets on: its smoothed loss, and how long the rest will take. Pure."""

from __future__ import annotations

BETA = 0.9
# The first steps build kernels and warm caches: they tell nothing of those to come.
STEPS_LEFT_OUT = 10


def smoothed_loss(before: float | None, loss: float, step: int) -> float:
    """Return the running mean of the loss after `step` steps, counted from 1, without its bias.

    The same as an exponential mean that starts at 0 and is divided by 1 - BETA^step, but it is
    its own whole state.
    """
    if before is None:
        return loss
    weight = (1 - BETA) / (1 - BETA**step)
    return before + weight * (loss - before)


class Pace:
    """Seconds per step of this attempt, over its steps alone: no evaluation, no checkpoint."""

    def __init__(self) -> None:
        self._num_steps = 0
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one step that took so long."""
        self._num_steps += 1
        if self._num_steps > STEPS_LEFT_OUT:
            self._seconds += seconds

    def eta_s(self, num_left: int) -> float | None:
        """Return the seconds that so many more steps will take; None before it can be told."""
        counted = self._num_steps - STEPS_LEFT_OUT
        return num_left * self._seconds / counted if counted > 0 else None
