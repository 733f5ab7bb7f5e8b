"""Replaying a conversation: how many of its tokens are shown, and how fast more come. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
FIRST_SPEED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Playhead:
    """Where a replay is; shown: tokens so far, None where the whole conversation is shown.

    speed: tokens per second.
    """

    shown: float | None = None
    is_playing: bool = False
    speed: int = FIRST_SPEED

    @property
    def limit(self) -> int | None:
        """How many whole tokens are shown."""
        return None if self.shown is None else int(self.shown)

    def toggled(self, total: int) -> Playhead:
        """Play on or pause; from the start where the end was reached."""
        if self.is_playing:
            return replace(self, is_playing=False)
        starts_over = self.shown is None or self.shown >= total
        return replace(self, is_playing=total > 0, shown=0.0 if starts_over else self.shown)

    def after(self, seconds: float, total: int) -> Playhead:
        """Let time pass; at the end the whole conversation stays."""
        if not self.is_playing or self.shown is None:
            return self
        shown = self.shown + seconds * self.speed
        if shown >= total:
            return replace(self, shown=None, is_playing=False)
        return replace(self, shown=shown)

    def stepped(self, by: int, total: int) -> Playhead:
        """Show some tokens more or fewer, and pause."""
        here = total if self.limit is None else self.limit
        shown = min(max(here + by, 0), total)
        return replace(self, shown=float(shown), is_playing=False)

    def faster(self, by: int) -> Playhead:
        """Take the next speed up or down."""
        place = SPEEDS.index(self.speed) + by
        return replace(self, speed=SPEEDS[min(max(place, 0), len(SPEEDS) - 1)])

    def at_turn(self, turn: int, lengths: Sequence[int]) -> Playhead:
        """Go to the start of a turn, counted from 0, with its first token shown."""
        place = min(max(turn, 0), max(len(lengths) - 1, 0))
        return replace(self, shown=float(sum(lengths[:place]) + (1 if lengths else 0)))

    def turn(self, lengths: Sequence[int]) -> int:
        """Return the turn that is being shown, counted from 0."""
        if self.limit is None:
            return max(len(lengths) - 1, 0)
        ends = list(accumulate(lengths))
        here = max(self.limit, 1)
        return next((place for place, end in enumerate(ends) if here <= end), len(ends) - 1)
