"""What the workers answer and what waits for them: queue, dispatch, delivery. Torch-free."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.serve.crew import Crew
from core.serve.dispatch import Load, Seat, Slot, Submit, decide
from core.serve.errors import (
    ApiError,
    bad_request,
    load_failed,
    queue_full,
    too_late,
    unavailable,
    worker_crashed,
)
from core.serve.frames import token_of
from core.serve.jobs import Generation, Job
from core.serve.metrics import Metrics
from core.serve.models import ModelSpec
from core.serve.settings import ServeSettings
from runs.errors import Corrupt, LabError, NotFound, UsageError

MAX_LOAD_CRASHES = 2
STOPPING = "the server is stopping"
_KINDS: Mapping[str, type[LabError]] = {
    kind.__name__: kind for kind in (UsageError, NotFound, Corrupt, LabError)
}


class Pool:
    """Gives calls to the workers of a crew. All methods belong to the event loop's thread."""

    def __init__(
        self,
        settings: ServeSettings,
        metrics: Metrics,
        preload: Sequence[ModelSpec] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._preload = tuple(preload)[: settings.max_models]
        self._clock = clock
        self._crew = Crew(settings, metrics, self, clock=clock)
        self.seats = self._crew.seats
        self._load_crashes: Counter[str] = Counter()
        self._queue: deque[Job] = deque()
        self._running: dict[int, Job] = {}
        self._next_job = 0
        self._job_s = 1.0
        self._is_draining = False
        self._first: asyncio.Future[None] | None = None

    @property
    def num_queued(self) -> int:
        """Jobs that wait for a row."""
        return len(self._queue)

    @property
    def num_running(self) -> int:
        """Jobs that a worker answers now."""
        return len(self._running)

    @property
    def is_ready(self) -> bool:
        """Whether a worker has the first model, or some worker is up when none was named."""
        up = [seat for seat in self.seats if seat.state == "ready"]
        if not self._preload or self._is_draining:
            return bool(up) and not self._is_draining
        return any(slot.state == "ready" for seat in up for slot in seat.slots.values())

    def pid(self, seat: Seat) -> int | None:
        """Return the process id of the worker of a seat, or None while there is none."""
        return self._crew.pid(seat)

    async def start(self) -> None:
        """Start every worker; does not wait for models."""
        self._first = asyncio.get_running_loop().create_future()
        await self._crew.start()

    async def wait_ready(self) -> None:
        """Return once a worker can answer; raises LabError when none ever will."""
        assert self._first is not None
        await asyncio.shield(self._first)

    def submit(self, spec: ModelSpec, requests: Sequence[Mapping[str, Any]]) -> Generation:
        """Queue the choices of one call and return where its tokens arrive.

        Raises:
            ApiError: 429 when the queue is full, 503 when the server is stopping.
        """
        if self._is_draining:
            raise unavailable(STOPPING)
        if all(seat.state == "failed" for seat in self.seats):
            raise unavailable("no worker can be started; see the server's log")
        generation = Generation(
            submitted_s=self._clock(), on_cancel=self._forget, num_open=len(requests)
        )
        generation.jobs = [
            Job(
                number=self._next_job + index,
                index=index,
                spec=spec,
                request=request,
                generation=generation,
            )
            for index, request in enumerate(requests)
        ]
        self._next_job += len(requests)
        self._queue.extend(generation.jobs)
        self._pump()
        if len(self._queue) > self._settings.max_queue and self._queue[-1] is generation.jobs[-1]:
            generation.cancel()
            raise self._too_many()
        generation.timer = asyncio.get_running_loop().call_later(
            self._settings.timeout_s, generation.fail, too_late(self._settings.timeout_s)
        )
        return generation

    def drain(self, grace_s: float) -> None:
        """Take no more calls; what is not answered in `grace_s` fails then."""
        self._is_draining = True
        asyncio.get_running_loop().call_later(grace_s, self._fail_all)

    async def close(self) -> None:
        """End every worker and wait until it is gone."""
        self._is_draining = True
        self._fail_all()
        await self._crew.close()

    def _fail_all(self) -> None:
        for job in [*self._running.values(), *self._queue]:
            job.generation.fail(unavailable(STOPPING))

    def _pump(self) -> None:
        """Move every waiting job that can move, oldest first."""
        draining: set[tuple[int, str]] = set()
        for job in list(self._queue):
            decision = decide(
                job.spec.name,
                self.seats,
                draining,
                max_models=self._settings.max_models,
                max_rows=self._settings.max_rows,
            )
            if isinstance(decision, Submit):
                self._queue.remove(job)
                self._run(job, self.seats[decision.seat])
                if decision.spread_to is not None:
                    self._load(self.seats[decision.spread_to], job.spec)
            elif isinstance(decision, Load):
                seat = self.seats[decision.seat]
                if decision.evict is not None:
                    del seat.slots[decision.evict]
                    self._crew.send(seat, {"t": "unload", "model": decision.evict})
                self._load(seat, job.spec)
            elif decision.drain is not None:
                draining.add(decision.drain)

    def _run(self, job: Job, seat: Seat) -> None:
        slot = seat.slots[job.spec.name]
        slot.num_running += 1
        slot.used_s = self._clock()
        job.seat = seat.index
        self._running[job.number] = job
        place = {"t": "submit", "job": job.number, "model": job.spec.name}
        self._crew.send(seat, {**place, **job.request})

    def _load(self, seat: Seat, spec: ModelSpec) -> None:
        seat.slots[spec.name] = Slot(state="loading", used_s=self._clock())
        files = {"checkpoint": str(spec.checkpoint), "tokenizer": str(spec.tokenizer)}
        self._crew.send(seat, {"t": "load", "model": spec.name, **files})

    def hear(self, seat: Seat, message: Mapping[str, Any]) -> None:
        """Take a message of a worker (the crew calls this)."""
        kind = message["t"]
        if kind == "tick":
            self._deliver(message["tokens"])
        elif kind == "ready":
            seat.state, seat.device = "ready", message["device"]
            for spec in self._preload:
                self._load(seat, spec)
            if not self._preload:
                self._settle_first(None)
            self._pump()
        elif kind == "loaded":
            slot = seat.slots[message["model"]]
            slot.state, slot.max_positions = "ready", message["max_positions"]
            self._load_crashes.pop(message["model"], None)
            self._settle_first(None)
            self._pump()
        elif kind == "failed":
            del seat.slots[message["model"]]
            self._give_up(message["model"], _KINDS[message["code"]](message["error"]))
        elif kind == "refused":
            job = self._running.get(message["job"])
            if job is not None:
                job.generation.fail(bad_request(message["error"]))
        elif kind == "fatal":
            self.seal(seat, _KINDS[message["code"]](message["error"]))

    def _deliver(self, rows: Sequence[list[Any]]) -> None:
        now_s = self._clock()
        has_ended = False
        for row in rows:
            job = self._running.get(row[0])
            if job is None:
                # Cancelled while this tick was on its way.
                continue
            token = token_of(row, job.index)
            is_first = job.last_s is None
            since_s = job.generation.submitted_s if job.last_s is None else job.last_s
            self._metrics.count_token(job.spec.name, gap_s=now_s - since_s, is_first=is_first)
            job.last_s = now_s
            if token.finish is not None:
                has_ended = True
                self._release(job)
                self._job_s += 0.1 * (now_s - job.generation.submitted_s - self._job_s)
            job.generation.put(token, now_s)
        if has_ended:
            self._pump()

    def _release(self, job: Job) -> None:
        del self._running[job.number]
        assert job.seat is not None
        self.seats[job.seat].slots[job.spec.name].num_running -= 1

    def _forget(self, generation: Generation) -> None:
        for job in generation.jobs:
            if job.number in self._running:
                self._release(job)
                assert job.seat is not None
                self._crew.send(self.seats[job.seat], {"t": "cancel", "job": job.number})
            elif job in self._queue:
                self._queue.remove(job)
        self._pump()

    def lose(self, seat: Seat) -> None:
        """Fail what a dead worker was answering; another takes its place (the crew calls this)."""
        loading = [name for name, slot in seat.slots.items() if slot.state == "loading"]
        lost = [job for job in self._running.values() if job.seat == seat.index]
        for job in lost:
            del self._running[job.number]
        seat.slots.clear()
        for job in lost:
            job.generation.fail(worker_crashed())
        for name in loading:
            self._load_crashes[name] += 1
            if self._load_crashes[name] >= MAX_LOAD_CRASHES:
                self._give_up(name, LabError(f"the worker died while it loaded {name}"))

    def _give_up(self, model: str, error: LabError) -> None:
        from_start = [spec.name for spec in self._preload[:1]]
        if model in from_start:
            self._settle_first(error)
        problem = load_failed(error)
        for job in [job for job in self._queue if job.spec.name == model]:
            job.generation.fail(problem)
        self._pump()

    def seal(self, seat: Seat, error: LabError) -> None:
        """Count on a worker no more: it cannot be started (the crew calls this)."""
        seat.state = "failed"
        if all(other.state == "failed" for other in self.seats):
            self._settle_first(error)
            for job in list(self._queue):
                job.generation.fail(unavailable(str(error)))

    def _settle_first(self, error: LabError | None) -> None:
        if self._first is not None and not self._first.done():
            if error is None:
                self._first.set_result(None)
            else:
                self._first.set_exception(error)

    def _too_many(self) -> ApiError:
        rows = self._settings.max_rows * len(self.seats)
        wait_s = math.ceil(len(self._queue) / rows * self._job_s)
        return queue_full(len(self._queue), wait_s)
