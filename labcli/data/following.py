"""Work on text, shown while it goes on: one line that is rewritten, or plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TypeVar

from labcli import diagnostics
from labcli.text.figures import seconds, size
from runs.events import Progress

Result = TypeVar("Result")
BAR_WIDTH = 24
# Where there is no terminal, a line is written so often.
LOG_EVERY_S = 10.0
# The pace is that of the last so many seconds.
PACE_S = 20.0


class Pace:
    """How fast something goes, over its recent past."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []

    def add(self, now_s: float, done: float) -> None:
        """Note how far it is; work that was thrown away starts the pace anew."""
        if self._points and done < self._points[-1][1]:
            self._points = []
        self._points = [point for point in self._points if now_s - point[0] <= PACE_S]
        self._points.append((now_s, done))

    @property
    def per_second(self) -> float | None:
        """Units in a second, or None when it cannot be told yet."""
        if len(self._points) < 2:
            return None
        (first_s, first), (last_s, last) = self._points[0], self._points[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s and last > first else None


def follow(steps: Generator[Progress, None, Result]) -> Result:
    """Run the steps to their end, tell how far they are, and return their result."""
    status = diagnostics.StatusLine()
    pace = Pace()
    said_s = time.monotonic()
    try:
        while True:
            step = next(steps)
            now_s = time.monotonic()
            pace.add(now_s, step.done)
            status.update(progress_text(step, pace.per_second))
            if not status.is_live and now_s - said_s >= LOG_EVERY_S:
                said_s = now_s
                diagnostics.say(progress_text(step, pace.per_second))
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        status.clear()
        steps.close()


def progress_text(step: Progress, per_second: float | None) -> str:
    """Return one line on a step, the most important parts first."""
    share = min(1.0, step.done / step.total) if step.total else 0.0
    filled = int(share * BAR_WIDTH)
    parts = [step.label or "", f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {share:4.0%}"]
    if step.unit == "bytes":
        parts.append(f"{size(step.done)} of {size(step.total)}")
    else:
        parts.append(f"{step.done:,.0f} of {step.total:,.0f} {step.unit}")
    if per_second:
        if step.unit == "bytes":
            parts.append(f"{size(per_second)}/s")
        parts.append(f"{seconds((step.total - step.done) / per_second)} left")
    return "  ".join(part for part in parts if part)
