"""Whether a loss stands out from those before it. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise

# Losses that say what is usual, and how many of them it takes to tell.
WINDOW = 64
LEVEL_WINDOW = 16
# The loss of a young model falls by leaps of its own, and so does that of one in its warm-up.
QUIET_STEPS = 100
# Batches of one corpus stay within 5 deviations in 100,000 steps; the rest is for other corpora.
DEVIATIONS = 8.0
SMALLEST_SHARE = 0.1
# One alert for one trouble, also when it lasts.
STEPS_BETWEEN = 100
# The median of |difference| of two draws of a normal distribution, in its standard deviations.
_MEDIAN_DIFFERENCE = 0.6745 * 2**0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """A loss far above the `level` that was usual; `before` holds what led to it.

    What follows it is added to its file later on (core.train.aftermath).
    """

    step: int
    loss: float
    level: float
    deviation: float
    before: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeState:
    """What a checkpoint keeps, so that a resumed run tells what the uninterrupted one would.

    losses: of the last steps, at most WINDOW. last_spike: the step of the last one that was told.
    """

    losses: tuple[float, ...] = ()
    last_spike: int | None = None


class SpikeWatch:
    """Looks at each loss; medians, so that a spike does not raise what counts as usual.

    num_warmup_steps: steps of the run, counted from 1, in which nothing stands out.
    """

    def __init__(self, state: SpikeState | None = None, *, num_warmup_steps: int = 0) -> None:
        self.state = state or SpikeState()
        self._first_step = num_warmup_steps + QUIET_STEPS

    def look(self, step: int, loss: float) -> Spike | None:
        """Take the loss of a step, and return it as a spike when it is one."""
        spike = self._judge(step, loss)
        self.state = SpikeState(
            losses=(*self.state.losses, loss)[-WINDOW:],
            last_spike=self.state.last_spike if spike is None else step,
        )
        return spike

    def _judge(self, step: int, loss: float) -> Spike | None:
        losses, last_spike = self.state.losses, self.state.last_spike
        is_young = step <= self._first_step or len(losses) < WINDOW
        if is_young or (last_spike is not None and step < last_spike + STEPS_BETWEEN):
            return None
        level = statistics.median(losses[-LEVEL_WINDOW:])
        # Differences of neighbours: the fall of the loss over the window is no noise.
        differences = [abs(a - b) for a, b in pairwise(losses)]
        deviation = statistics.median(differences) / _MEDIAN_DIFFERENCE
        if loss - level <= max(DEVIATIONS * deviation, SMALLEST_SHARE * level):
            return None
        return Spike(step=step, loss=loss, level=level, deviation=deviation, before=losses)
