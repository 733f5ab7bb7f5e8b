"""Where the time of a training step goes: seconds by phase, without holding the device up.

On a CPU the phases are wall time of the host. On CUDA both ends of a phase are events in the
stream, so a phase takes the time that the device took: work that the device did not have to wait
for, such as a batch loaded meanwhile, counts as nothing, and the sum is still the wall time.
Events are read once the device has passed them, never waited for. MPS has the host's times,
which are coarse: work counts for the phase that first waits for it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import torch

PhaseName = Literal["data", "forward-backward", "optimizer", "sync", "eval", "save"]


class Clock(Protocol):
    """Gives marks in time, and the seconds between two of them."""

    def mark(self) -> Any:
        """Return the present moment."""
        ...

    def seconds(self, begin: Any, end: Any) -> float | None:
        """Return the seconds between two marks; None while the second is still to come."""
        ...


class HostClock:
    """Wall time of this process."""

    def mark(self) -> float:
        """Return the present moment."""
        return time.perf_counter()

    def seconds(self, begin: float, end: float) -> float | None:
        """Return the seconds between two marks."""
        return end - begin


class StreamClock:
    """Time of the current CUDA stream, as the device comes to the marks in it."""

    def mark(self) -> torch.cuda.Event:
        """Return an event that the device will pass when it has done what was asked so far."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, begin: torch.cuda.Event, end: torch.cuda.Event) -> float | None:
        """Return the seconds between two events; None while the device is not there yet."""
        return begin.elapsed_time(end) / 1000 if end.query() else None


class Phases:
    """Adds up the seconds of each phase of one step, and of what came between two steps."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or HostClock()
        self._spans: list[tuple[PhaseName, Any, Any]] = []

    @contextmanager
    def __call__(self, name: PhaseName) -> Iterator[None]:
        """Count the time of the block for a phase, also when it raises."""
        begin = self._clock.mark()
        try:
            yield
        finally:
            self._spans.append((name, begin, self._clock.mark()))

    def take(self) -> dict[str, float]:
        """Return the seconds of each phase since the last time, and begin anew.

        What the device has not done yet stays for the next time.
        """
        found: defaultdict[str, float] = defaultdict(float)
        ahead: list[tuple[PhaseName, Any, Any]] = []
        for span in self._spans:
            name, begin, end = span
            seconds = self._clock.seconds(begin, end)
            if seconds is None:
                ahead.append(span)
            else:
                found[name] += seconds
        self._spans = ahead
        return dict(found)


def phases_on(device: torch.device) -> Phases:
    """Return the phases of a training on a device."""
    return Phases(StreamClock() if device.type == "cuda" else HostClock())


def phase_metrics(seconds: dict[str, float]) -> dict[str, float]:
    """Return the phases as metrics of a step: time_forward_backward_s and so on."""
    return {f"time_{name.replace('-', '_')}_s": round(value, 6) for name, value in seconds.items()}
