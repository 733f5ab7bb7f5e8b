"""Continuous batching: joins, leaves, tickets, stop strings, probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from core.engine.engine import Engine
from core.engine.request import Request, Token
from core.engine.scheduler import Scheduler
from runs.errors import UsageError
from tests.engine.builders import TOKENIZER, random_model, tiny_config
from tests.engine.test_engine import no_tool, prompt


def engine(max_rows: int = 3) -> Engine:
    return Engine(random_model(tiny_config()), TOKENIZER, tool=no_tool, max_rows=max_rows)


def ask(length: int, seed: int, **settings: object) -> Request:
    values = {"max_new_tokens": 10, "seed": seed, **settings}
    return Request(prompt_ids=prompt(length, seed), **values)  # type: ignore[arg-type]


def run(
    scheduler: Scheduler, requests: Sequence[Request], joins: Mapping[int, int]
) -> dict[int, list[Token]]:
    """Step until idle; request i is submitted before step joins[i] (0 when absent)."""
    tokens: dict[int, list[Token]] = {}
    step = 0
    left = dict(enumerate(requests))
    while left or not scheduler.is_idle:
        for index in [index for index in left if joins.get(index, 0) <= step]:
            tokens[scheduler.submit(left.pop(index))] = []
        for token in scheduler.step():
            tokens[token.row].append(token)
        step += 1
    return tokens


def test_requests_join_and_leave_and_get_what_they_would_get_alone() -> None:
    requests = [ask(5 + 7 * seed, seed, max_new_tokens=4 + 3 * seed) for seed in range(6)]
    alone = [engine().complete([request])[0] for request in requests]

    together = run(Scheduler(engine()), requests, {2: 3, 3: 3, 4: 5, 5: 9})

    for (_, tokens), answer in zip(sorted(together.items()), alone, strict=True):
        kept = [token.id for token in tokens if token.finish != "stop"]
        assert tuple(kept) == answer.ids
        assert tokens[-1].finish == answer.finish


def test_a_cancelled_request_gets_no_more_tokens_and_frees_its_row() -> None:
    scheduler = Scheduler(engine(max_rows=1))
    first, second = scheduler.submit(ask(5, 1)), scheduler.submit(ask(6, 2))
    assert (first < second, scheduler.num_waiting) == (True, 2)

    assert [token.row for token in scheduler.step()] == [first]
    scheduler.cancel(first)
    assert [token.row for token in scheduler.step()] == [second]
    scheduler.cancel(second)

    assert scheduler.is_idle
    assert scheduler.step() == []
    scheduler.cancel(first)


def test_a_request_that_cannot_fit_is_refused_at_once() -> None:
    scheduler = Scheduler(engine())

    with pytest.raises(UsageError, match="positions"):
        scheduler.submit(ask(5, 1, max_new_tokens=6000))

    assert scheduler.is_idle
