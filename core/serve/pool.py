"""The workers and what waits for them: queue, dispatch, crashes, shutdown. Torch-free."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from core.serve.dispatch import Load, Seat, Slot, Submit, decide
from core.serve.errors import ApiError, bad_request
from core.serve.frames import token_of
from core.serve.jobs import Generation, Job
from core.serve.metrics import Metrics
from core.serve.models import ModelSpec
from core.serve.settings import ServeSettings
from core.serve.worker_link import WorkerLink, start_worker
from runs.errors import Corrupt, LabError, NotFound, UsageError

MAX_LOAD_CRASHES = 2
MAX_START_CRASHES = 3
MAX_BACKOFF_S = 30.0
# A worker that lived this long has not died of its start.
STEADY_S = 30.0
MAX_RETRY_AFTER_S = 30
_KINDS: Mapping[str, type[LabError]] = {
    kind.__name__: kind for kind in (UsageError, NotFound, Corrupt, LabError)
}


class Pool:
    """Owns one worker process per device. All methods belong to the event loop's thread."""

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
        self.seats = [
            Seat(index=index, device=device) for index, device in enumerate(settings.devices)
        ]
        self._links: dict[int, WorkerLink] = {}
        self._started_s: dict[int, float] = {}
        self._num_crashes: Counter[int] = Counter()
        self._load_crashes: Counter[str] = Counter()
        self._specs: dict[str, ModelSpec] = {}
        self._queue: deque[Job] = deque()
        self._running: dict[int, Job] = {}
        self._next_job = 0
        self._job_s = 1.0
        self._tasks: set[asyncio.Task[None]] = set()
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
        link = self._links.get(seat.index)
        return None if link is None else link.pid

    async def start(self) -> None:
        """Start every worker; does not wait for models."""
        self._first = asyncio.get_running_loop().create_future()
        for seat in self.seats:
            await self._start(seat)

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
            raise _stopping()
        if all(seat.state == "failed" for seat in self.seats):
            raise ApiError("no worker can be started; see the server's log", **_UNAVAILABLE)
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
            self._settings.timeout_s, generation.fail, self._too_late()
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
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*(link.close() for link in self._links.values()))
        self._links.clear()

    def _fail_all(self) -> None:
        for job in [*self._running.values(), *self._queue]:
            job.generation.fail(_stopping())

    async def _start(self, seat: Seat, delay_s: float = 0.0) -> None:
        await asyncio.sleep(delay_s)
        seat.state = "starting"
        self._started_s[seat.index] = self._clock()
        self._links[seat.index] = await start_worker(
            self._settings,
            seat.device,
            lambda _, message: self._hear(seat, message),
            lambda _: self._lose(seat),
        )

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
                    self._links[seat.index].send({"t": "unload", "model": decision.evict})
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
        self._links[seat.index].send({**place, **job.request})

    def _load(self, seat: Seat, spec: ModelSpec) -> None:
        seat.slots[spec.name] = Slot(state="loading", used_s=self._clock())
        self._specs[spec.name] = spec
        files = {"checkpoint": str(spec.checkpoint), "tokenizer": str(spec.tokenizer)}
        self._links[seat.index].send({"t": "load", "model": spec.name, **files})

    def _hear(self, seat: Seat, message: Mapping[str, Any]) -> None:
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
            self._seal(seat, _KINDS[message["code"]](message["error"]))

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
                self._links[job.seat].send({"t": "cancel", "job": job.number})
            elif job in self._queue:
                self._queue.remove(job)
        self._pump()

    def _lose(self, seat: Seat) -> None:
        """Fail what a dead worker was answering, and start another in its place."""
        self._links.pop(seat.index, None)
        was_starting = seat.state == "starting"
        loading = [name for name, slot in seat.slots.items() if slot.state == "loading"]
        lost = [job for job in self._running.values() if job.seat == seat.index]
        for job in lost:
            del self._running[job.number]
        seat.slots.clear()
        if seat.state == "failed":
            return
        seat.state = "down"
        for job in lost:
            job.generation.fail(_crashed())
        for name in loading:
            self._load_crashes[name] += 1
            if self._load_crashes[name] >= MAX_LOAD_CRASHES:
                self._give_up(name, LabError(f"the worker died while it loaded {name}"))
        lived_s = self._clock() - self._started_s[seat.index]
        self._num_crashes[seat.index] = (
            1 if lived_s > STEADY_S else self._num_crashes[seat.index] + 1
        )
        num_crashes = self._num_crashes[seat.index]
        if was_starting and num_crashes >= MAX_START_CRASHES:
            self._seal(seat, LabError("a worker could not be started; see the lines above"))
            return
        self._metrics.count_restart()
        # At once the first time: a crash is rare, and someone waits.
        delay_s = 0.0 if num_crashes == 1 else min(MAX_BACKOFF_S, 0.25 * 2**num_crashes)
        task = asyncio.get_running_loop().create_task(self._start(seat, delay_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _give_up(self, model: str, error: LabError) -> None:
        from_start = [spec.name for spec in self._preload[:1]]
        if model in from_start:
            self._settle_first(error)
        problem = _load_error(error)
        for job in [job for job in self._queue if job.spec.name == model]:
            job.generation.fail(problem)
        self._pump()

    def _seal(self, seat: Seat, error: LabError) -> None:
        seat.state = "failed"
        if all(other.state == "failed" for other in self.seats):
            self._settle_first(error)
            for job in list(self._queue):
                job.generation.fail(ApiError(str(error), **_UNAVAILABLE))

    def _settle_first(self, error: LabError | None) -> None:
        if self._first is not None and not self._first.done():
            if error is None:
                self._first.set_result(None)
            else:
                self._first.set_exception(error)

    def _too_many(self) -> ApiError:
        rows = self._settings.max_rows * len(self.seats)
        wait_s = math.ceil(len(self._queue) / rows * self._job_s)
        return ApiError(
            f"{len(self._queue)} requests wait already; try again later",
            status=429,
            code="queue_full",
            retry_after_s=max(1, min(MAX_RETRY_AFTER_S, wait_s)),
        )

    def _too_late(self) -> ApiError:
        return ApiError(
            f"no complete answer after {self._settings.timeout_s:g} s; ask for fewer tokens, try "
            "again later, or start the server with a longer --timeout",
            status=504,
            code="timeout",
        )


_UNAVAILABLE: dict[str, Any] = {"status": 503, "code": "unavailable"}


def _stopping() -> ApiError:
    return ApiError("the server is stopping", **_UNAVAILABLE)


def _crashed() -> ApiError:
    return ApiError(
        "the worker that answered this request died and is being started again; send it again",
        status=500,
        code="worker_crashed",
    )


def _load_error(error: LabError) -> ApiError:
    code = "model_not_found" if isinstance(error, NotFound) else "model_cannot_be_loaded"
    return ApiError(str(error), status=404 if isinstance(error, NotFound) else 500, code=code)
