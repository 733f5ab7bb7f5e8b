"""Continuous batching: requests join and leave a running batch; one tick gives a token per row.

Single-threaded: the owner calls step() in a loop, and submit() and cancel() between steps.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.engine.cache import KVCache
from core.engine.request import Probe, Request, Token
from core.engine.row import Row
from core.engine.sampling import Sampler

if TYPE_CHECKING:
    from core.engine.engine import Engine

PROMPT_MULTIPLE = 32
SLOTS_MULTIPLE = 64


@dataclass(slots=True, kw_only=True)
class _Running:
    row: Row
    cache: KVCache
    sampler: Sampler
    logits: Tensor


class Scheduler:
    """Serves any number of requests, at most engine.max_rows of them at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: deque[Row] = deque()
        self._running: list[_Running] = []
        self._next_ticket = 0

    @property
    def num_running(self) -> int:
        """Requests that get a token per step."""
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        """Requests that wait for a free row."""
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether step() would do nothing."""
        return not self._running and not self._waiting

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
        self._running = [one for one in self._running if one.row.ticket != ticket]

    @torch.inference_mode()
    def step(self) -> list[Token]:
        """Return one new token per running request, by ticket; waiting ones join first."""
        while self._waiting and len(self._running) < self._engine.max_rows:
            self._running.append(self._start(self._waiting.popleft()))
        tokens = []
        for one in self._running:
            step = one.row.num_new
            picked = int(one.sampler.pick(one.logits, step)[0])
            shown = picked if one.row.forced is None else one.row.forced
            probe = _probe(one.logits[0], shown, one.row.request.num_alternatives)
            tokens.append(one.row.take(picked, probe))
        self._running = [one for one in self._running if one.row.finish is None]
        device = self._engine.model.cos.device
        one_1 = torch.ones(1, dtype=torch.long, device=device)
        for one in self._running:
            idx_11 = torch.tensor([[one.row.last]], device=device)
            one.logits = self._engine.model.decode(idx_11, one.cache, one_1)
        return tokens

    def _start(self, row: Row) -> _Running:
        model, request = self._engine.model, row.request
        device, length = model.cos.device, len(request.prompt_ids)
        num_slots = min(
            -(-(length + request.max_new_tokens) // SLOTS_MULTIPLE) * SLOTS_MULTIPLE,
            self._engine.max_positions,
        )
        width = min(-(-length // PROMPT_MULTIPLE) * PROMPT_MULTIPLE, num_slots)
        cache = KVCache(
            model.config, num_rows=1, num_slots=num_slots, device=device, dtype=model.dtype
        )
        padded = [*request.prompt_ids, *([self._engine.tokenizer.bos] * (width - length))]
        idx_1T = torch.tensor([padded], device=device)
        logits = model.decode(idx_1T, cache, torch.tensor([length], device=device))
        sampler = Sampler([request], device)
        return _Running(row=row, cache=cache, sampler=sampler, logits=logits)


def _probe(logits_V: Tensor, token_id: int, num_alternatives: int | None) -> Probe | None:
    if num_alternatives is None:
        return None
    logprobs_V = torch.log_softmax(logits_V, dim=-1)
    top = logprobs_V.topk(min(num_alternatives, logprobs_V.numel()))
    return Probe(
        entropy_nats=float(-(logprobs_V.exp() * logprobs_V).sum()),
        surprisal_nats=float(-logprobs_V[token_id]),
        rank=int((logits_V > logits_V[token_id]).sum()),
        top=tuple(zip(top.indices.tolist(), top.values.exp().tolist(), strict=True)),
    )
