"""Continuous batching: requests join and leave a running batch; one tick gives a token per row.

Single-threaded: the owner calls step() in a loop, and submit() and cancel() between steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from core.engine.decoder import Place
from core.engine.probes import probe
from core.engine.request import Probe, Request, Token
from core.engine.row import Row
from core.engine.sampling import Sampler
from core.engine.slots import padded

if TYPE_CHECKING:
    from core.engine.engine import Engine

# A prompt is prefilled in pieces of so many tokens, and a step prefills about as many while other
# rows wait for their next token: a long prompt delays them by no more than one piece per token.
CHUNK_TOKENS = 512


@dataclass(slots=True, kw_only=True)
class _Job:
    """A request that holds a row of the cache."""

    row: Row
    slot: int


class Scheduler:
    """Serves any number of requests, at most engine.max_rows of them at a time, first come first.

    Prompts are prefilled one by one in pieces whose borders depend on the prompt alone. Rows
    decode together in batch shapes that are powers of two; a deterministic engine has one shape.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[Row] = deque()
        self._prefilling: deque[_Job] = deque()
        self._running: list[_Job] = []
        self._next_ticket = 0
        self._sampler: Sampler | None = None
        self._sampled: tuple[int | None, ...] = ()

    @property
    def num_running(self) -> int:
        """Requests that hold a row."""
        return len(self._running) + len(self._prefilling)

    @property
    def num_waiting(self) -> int:
        """Requests that wait for a free row."""
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether step() would do nothing."""
        return not (self._running or self._prefilling or self._waiting)

    def submit(self, request: Request) -> int:
        """Queue a request and return its ticket; tickets increase.

        Raises:
            UsageError: the request does not fit the model.
        """
        self._engine.check(request)
        ticket, self._next_ticket = self._next_ticket, self._next_ticket + 1
        self._waiting.append(Row(request, ticket, self._engine.tokenizer, self._engine.tool))
        return ticket

    def cancel(self, ticket: int) -> None:
        """Forget a request; one that is unknown or has ended is passed over."""
        self._waiting = deque(row for row in self._waiting if row.ticket != ticket)
        for job in [*self._running, *self._prefilling]:
            if job.row.ticket == ticket:
                self._release(job)

    def close(self) -> None:
        """Forget every request."""
        for job in [*self._running, *self._prefilling]:
            self._release(job)
        self._waiting.clear()

    def step(self) -> list[Token]:
        """Return new tokens, at most one per request and by ticket; waiting requests join first.

        A request gets its first token in the step that ends its prefill. A row that has ended
        runs no further forward pass.
        """
        self._claim_rows()
        decoding = list(self._running)
        tokens = self._prefill(has_company=bool(decoding))
        if decoding:
            tokens += self._decode(decoding)
        return sorted(tokens, key=lambda token: token.row)

    def _claim_rows(self) -> None:
        slots = self._engine.slots
        while self._waiting and slots.num_free:
            row = self._waiting.popleft()
            claim = slots.claim(row.request.prompt_ids)
            self._prefilling.append(_Job(row=row, slot=claim.row))
            if claim.source != claim.row and claim.num_kept:
                self._engine.decoder.copy_row(claim.source, claim.row, claim.num_kept)
                slots[claim.row].ids.extend(row.request.prompt_ids[: claim.num_kept])

    def _prefill(self, *, has_company: bool) -> list[Token]:
        """Return the first tokens of the requests whose prompts are done."""
        tokens: list[Token] = []
        budget = CHUNK_TOKENS
        while self._prefilling and (budget > 0 or not has_company):
            job = self._prefilling[0]
            ids, prompt = self._engine.slots[job.slot].ids, job.row.request.prompt_ids
            start = len(ids)
            end = min(len(prompt), start + CHUNK_TOKENS)
            is_last = end == len(prompt)
            logits_1V = self._engine.decoder.prefill(
                job.slot, list(prompt[:end]), start, is_last=is_last
            )
            ids.extend(prompt[start:end])
            budget -= end - start
            if is_last:
                assert logits_1V is not None
                self._prefilling.popleft()
                self._running.append(job)
                tokens += self._take(logits_1V, [job], self._new_sampler([job]))
        return tokens

    def _decode(self, jobs: list[_Job]) -> list[Token]:
        """Return the next token of every row that decodes."""
        slots = self._engine.slots
        first, block = self._block(jobs)
        places = [None if job is None else self._place(job) for job in block]
        logits_BV = self._engine.decoder.decode(
            first, places, is_greedy=all(job.row.request.is_greedy for job in jobs)
        )
        for job in jobs:
            slots[job.slot].ids.append(job.row.last)
        tickets = tuple(None if job is None else job.row.ticket for job in block)
        if self._sampler is None or tickets != self._sampled:
            self._sampler, self._sampled = self._new_sampler(block), tickets
        return self._take(logits_BV, block, self._sampler)

    def _block(self, jobs: list[_Job]) -> tuple[int, list[_Job | None]]:
        """Return the first row of the step and its jobs, None for rows that only pad."""
        engine = self._engine
        if engine.is_deterministic:
            first, num = 0, engine.max_rows
        else:
            while (move := engine.slots.closer([job.slot for job in jobs])) is not None:
                self._move(jobs, *move)
            lowest, highest = min(job.slot for job in jobs), max(job.slot for job in jobs)
            num = min(padded(highest - lowest + 1), engine.max_rows)
            first = min(lowest, engine.max_rows - num)
        by_slot = {job.slot: job for job in jobs}
        return first, [by_slot.get(row) for row in range(first, first + num)]

    def _move(self, jobs: list[_Job], source: int, target: int) -> None:
        slots = self._engine.slots
        self._engine.decoder.copy_row(source, target, len(slots[source].ids))
        slots.move(source, target)
        next(job for job in jobs if job.slot == source).slot = target

    def _place(self, job: _Job) -> Place:
        ids = self._engine.slots[job.slot].ids
        return Place(id=job.row.last, before_id=ids[-1], position=len(ids))

    def _new_sampler(self, block: Sequence[_Job | None]) -> Sampler:
        config = self._engine.model.config
        return Sampler(
            [None if job is None else job.row.request for job in block],
            self._engine.model.cos.device,
            histories=[() if job is None else job.row.history for job in block],
            softcap=config.softcap,
            vocab_size=config.vocab_size,
        )

    def _take(
        self, logits_BV: Tensor, block: Sequence[_Job | None], sampler: Sampler
    ) -> list[Token]:
        """Return the token that each row of a block takes after its logits."""
        picked = sampler.pick(logits_BV, [0 if job is None else job.row.num_new for job in block])
        taken = [
            token_id if job is None or job.row.forced is None else job.row.forced
            for token_id, job in zip(picked, block, strict=True)
        ]
        sampler.observe(taken)
        probes = self._probes(logits_BV, block, taken)
        tokens = []
        for index, job in enumerate(block):
            if job is not None:
                tokens.append(job.row.take(picked[index], probes.get(index)))
                if job.row.finish is not None:
                    self._release(job)
        return tokens

    def _probes(
        self, logits_BV: Tensor, block: Sequence[_Job | None], taken: Sequence[int]
    ) -> dict[int, Probe]:
        counts = {
            index: job.row.request.num_alternatives
            for index, job in enumerate(block)
            if job is not None and job.row.request.num_alternatives is not None
        }
        if not counts:
            return {}
        rows = list(counts)
        own_RV = logits_BV if len(rows) == len(block) else logits_BV[rows]
        probes = probe(
            own_RV,
            [taken[row] for row in rows],
            [num for num in counts.values() if num is not None],
            self._engine.model.config.softcap,
        )
        return dict(zip(rows, probes, strict=True))

    def _release(self, job: _Job) -> None:
        self._engine.slots.release(job.slot)
        if job in self._running:
            self._running.remove(job)
        else:
            self._prefilling.remove(job)
