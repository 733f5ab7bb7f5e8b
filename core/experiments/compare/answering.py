"""Answers to the cells of a comparison, a batch at a time, with what they took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from core.chat_format import prompt_ids
from core.engine.answer import join_parts, readable
from core.engine.engine import Engine
from core.engine.request import Request, Token
from core.engine.scheduler import Scheduler
from core.experiments.compare.answers import Answer, Cell, Times
from core.settings.experiments import CompareConfig


def request_for(engine: Engine, config: CompareConfig, cell: Cell, *, is_base: bool) -> Request:
    """Return what the engine is asked for a cell.

    Raises:
        UsageError: the prompt does not fit the model.
    """
    request = Request(
        prompt_ids=prompt_ids(engine.tokenizer, cell.prompt, is_base=is_base),
        max_new_tokens=config.max_new_tokens,
        temperature=cell.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        min_p=config.min_p,
        repetition_penalty=config.repetition_penalty,
        seed=cell.seed,
        num_alternatives=0,
    )
    engine.check(request)
    return request


def answer_batch(
    engine: Engine,
    cells: Sequence[Cell],
    requests: Sequence[Request],
    clock: Callable[[], float] = time.perf_counter,
) -> list[tuple[Answer, Times]]:
    """Return the answers to a batch, in its order.

    Of a deterministic engine they are the same whatever else was answered before.
    """
    scheduler = Scheduler(engine)
    tokens: list[list[Token]] = [[] for _ in requests]
    arrivals: list[list[float]] = [[] for _ in requests]
    began_s = clock()
    try:
        for request in requests:
            scheduler.submit(request)
        while not scheduler.is_idle:
            for token in scheduler.step():
                tokens[token.row].append(token)
                arrivals[token.row].append(clock() - began_s)
    finally:
        scheduler.close()
    return [
        (_answer(cell, len(request.prompt_ids), own), Times(ttft_s=at[0], last_s=at[-1]))
        for cell, request, own, at in zip(cells, requests, tokens, arrivals, strict=True)
    ]


def _answer(cell: Cell, num_prompt_tokens: int, tokens: Sequence[Token]) -> Answer:
    finish = tokens[-1].finish
    assert finish is not None
    parts = join_parts(piece for token in tokens for piece in token.pieces)
    probes = [token.probe for token in tokens if token.probe is not None]
    return Answer(
        cell=cell,
        text="".join(part.text for part in parts if part.type == "text"),
        shown=readable(parts),
        finish=finish,
        num_prompt_tokens=num_prompt_tokens,
        ids=tuple(token.id for token in tokens),
        is_forced=tuple(token.is_forced for token in tokens),
        entropy_nats=tuple(probe.entropy_nats for probe in probes),
        surprisal_nats=tuple(probe.surprisal_nats for probe in probes),
    )
