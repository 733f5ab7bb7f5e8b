"""The worker processes of a server: started, spoken to, and replaced when they die. Torch-free."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from core.serve.dispatch import Seat
from core.serve.metrics import Metrics
from core.serve.settings import ServeSettings
from core.serve.worker_link import WorkerLink, start_worker
from runs.errors import LabError

MAX_START_CRASHES = 3
MAX_BACKOFF_S = 30.0
# A worker that lived this long has not died of its start.
STEADY_S = 30.0


class Owner(Protocol):
    """Who gives the workers their work, and is told what becomes of them."""

    def hear(self, seat: Seat, message: Mapping[str, Any]) -> None:
        """Take a message of a worker."""

    def lose(self, seat: Seat) -> None:
        """Give up what a dead worker held."""

    def seal(self, seat: Seat, error: LabError) -> None:
        """Count on a worker no more: it cannot be started."""


class Crew:
    """Owns one worker process per seat. All methods belong to the event loop's thread."""

    def __init__(
        self,
        settings: ServeSettings,
        metrics: Metrics,
        owner: Owner,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._owner = owner
        self._clock = clock
        self.seats = [
            Seat(index=index, device=device) for index, device in enumerate(settings.devices)
        ]
        self._links: dict[int, WorkerLink] = {}
        self._started_s: dict[int, float] = {}
        self._num_crashes: Counter[int] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def pid(self, seat: Seat) -> int | None:
        """Return the process id of the worker of a seat, or None while there is none."""
        link = self._links.get(seat.index)
        return None if link is None else link.pid

    def send(self, seat: Seat, message: Mapping[str, Any]) -> None:
        """Send a message to the worker of a seat, which is up."""
        self._links[seat.index].send(message)

    async def start(self) -> None:
        """Start every worker."""
        for seat in self.seats:
            await self._start(seat)

    async def close(self) -> None:
        """End every worker and wait until it is gone."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*(link.close() for link in self._links.values()))
        self._links.clear()

    async def _start(self, seat: Seat, delay_s: float = 0.0) -> None:
        await asyncio.sleep(delay_s)
        seat.state = "starting"
        self._started_s[seat.index] = self._clock()
        self._links[seat.index] = await start_worker(
            self._settings,
            seat.device,
            lambda _, message: self._owner.hear(seat, message),
            lambda _: self._lose(seat),
        )

    def _lose(self, seat: Seat) -> None:
        """Let the owner give up what a dead worker held, and start another in its place."""
        self._links.pop(seat.index, None)
        before = seat.state
        if before != "failed":
            seat.state = "down"
        self._owner.lose(seat)
        if before != "failed":
            self._replace(seat, was_starting=before == "starting")

    def _replace(self, seat: Seat, *, was_starting: bool) -> None:
        lived_s = self._clock() - self._started_s[seat.index]
        num_crashes = 1 if lived_s > STEADY_S else self._num_crashes[seat.index] + 1
        self._num_crashes[seat.index] = num_crashes
        if was_starting and num_crashes >= MAX_START_CRASHES:
            self._owner.seal(seat, LabError("a worker could not be started; see the lines above"))
            return
        self._metrics.count_restart()
        # At once the first time: a crash is rare, and someone waits.
        delay_s = 0.0 if num_crashes == 1 else min(MAX_BACKOFF_S, 0.25 * 2**num_crashes)
        task = asyncio.get_running_loop().create_task(self._start(seat, delay_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
