"""Where a job goes: decided from what every worker holds and does. Pure and torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

SlotState = Literal["loading", "ready"]
SeatState = Literal["starting", "ready", "down", "failed"]


@dataclass(slots=True, kw_only=True)
class Slot:
    """One model in one worker; `used_s` is when a job last went there."""

    state: SlotState
    used_s: float
    num_running: int = 0
    max_positions: int | None = None


@dataclass(slots=True, kw_only=True)
class Seat:
    """One worker's place, which outlives the processes that fill it."""

    index: int
    device: str | None
    state: SeatState = "starting"
    slots: dict[str, Slot] = field(default_factory=dict)

    @property
    def num_running(self) -> int:
        """Jobs that this worker answers now, over all its models."""
        return sum(slot.num_running for slot in self.slots.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Give the job to a worker; `spread_to` is an idle worker that should load the model too."""

    seat: int
    spread_to: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Load the model into a worker, in place of another where one is named."""

    seat: int
    evict: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing can be done yet; `drain` is a (worker, model) that should take no more jobs."""

    drain: tuple[int, str] | None = None


Decision = Submit | Load | Wait


def decide(
    model: str,
    seats: Sequence[Seat],
    draining: set[tuple[int, str]],
    *,
    max_models: int,
    max_rows: int,
) -> Decision:
    """Return what to do with the oldest job of `model`.

    It goes to the least loaded worker that has the model and a free row; else the model is
    loaded where that is possible; else the least recently used model, somewhere, gets no more
    jobs until it can be replaced.
    """
    up = [seat for seat in seats if seat.state == "ready"]
    having = [seat for seat in up if model in seat.slots]
    free = [
        seat
        for seat in having
        if seat.slots[model].state == "ready"
        and seat.slots[model].num_running < max_rows
        and (seat.index, model) not in draining
    ]
    others = [seat for seat in up if model not in seat.slots]
    if free:
        best = min(free, key=lambda seat: seat.num_running)
        return Submit(seat=best.index, spread_to=_spread(best, others, max_models))
    if any(seat.slots[model].state == "loading" for seat in having):
        return Wait()
    room = [seat for seat in others if len(seat.slots) < max_models]
    if room:
        return Load(seat=min(room, key=lambda seat: seat.num_running).index)
    if having:
        # All its rows are taken, and a row will be free sooner than a model is loaded.
        return Wait()
    victims = sorted(
        (slot.num_running > 0, slot.used_s, seat.index, name)
        for seat in others
        for name, slot in seat.slots.items()
        if slot.state == "ready"
    )
    if not victims:
        return Wait()
    is_busy, _, index, name = victims[0]
    return Wait(drain=(index, name)) if is_busy else Load(seat=index, evict=name)


def _spread(best: Seat, others: Sequence[Seat], max_models: int) -> int | None:
    idle = [seat for seat in others if seat.num_running == 0 and len(seat.slots) < max_models]
    return idle[0].index if best.num_running > 0 and idle else None
