"""Requests on their way: a generation is one call's choices, a job is one of them. Torch-free."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.engine.request import Token
from core.serve.errors import ApiError
from core.serve.models import ModelSpec


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One choice of one call; times are of the monotonic clock, `seat` is set once it runs."""

    number: int
    index: int
    spec: ModelSpec
    request: Mapping[str, Any]
    generation: Generation
    seat: int | None = None
    last_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A token with the time at which the server received it."""

    token: Token
    at_s: float


@dataclass(slots=True, kw_only=True, eq=False)
class Generation:
    """What the answer to one call is read from; `on_cancel` frees what is still held for it."""

    submitted_s: float
    on_cancel: Callable[[Generation], None]
    jobs: Sequence[Job] = ()
    num_open: int = 0
    error: ApiError | None = None
    is_cancelled: bool = False
    timer: asyncio.TimerHandle | None = None
    _arrivals: list[Arrival] = field(default_factory=list)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, token: Token, at_s: float) -> None:
        """Hand a token to the reader."""
        self._arrivals.append(Arrival(token=token, at_s=at_s))
        if token.finish is not None:
            self.num_open -= 1
            if self.num_open == 0:
                self._stop_timer()
        self._bell.set()

    def fail(self, error: ApiError) -> None:
        """End with an error; what the other choices still had to say is given up."""
        if self.num_open:
            self.error = self.error or error
            self.cancel()

    def cancel(self) -> None:
        """Free the rows; the reader gets nothing more. Does nothing after the end."""
        if self.num_open and not self.is_cancelled:
            self.is_cancelled = True
            self._stop_timer()
            self._bell.set()
            self.on_cancel(self)

    async def take(self) -> list[Arrival]:
        """Return what has arrived, once there is something; nothing at the end.

        Raises:
            ApiError: the time is over, or what a worker or the server said.
        """
        while not self._arrivals:
            if self.error is not None:
                raise self.error
            if self.is_cancelled or self.num_open == 0:
                return []
            self._bell.clear()
            await self._bell.wait()
        arrivals, self._arrivals = self._arrivals, []
        return arrivals

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
