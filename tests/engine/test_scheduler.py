"""Continuous batching: joins, leaves, tickets, stop strings, probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch

from core.engine.decoder import CachedDecoder
from core.engine.engine import Engine
from core.engine.request import Completion, Request, Token
from core.engine.scheduler import Scheduler
from core.engine.weights import prepare
from runs.errors import UsageError
from tests.engine.builders import TOKENIZER, random_model, scripted, tiny_config
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


def exact(max_rows: int = 4, *, is_native: bool = True) -> Engine:
    model = random_model(tiny_config())
    decoder = CachedDecoder(
        prepare(model), num_rows=max_rows, is_row_exact=True, is_native=is_native
    )
    return Engine(
        model, TOKENIZER, tool=no_tool, max_rows=max_rows, is_deterministic=True, decoder=decoder
    )


@pytest.mark.parametrize("is_native", [True, False])
def test_a_deterministic_engine_gives_equal_tokens_alone_and_in_any_company(
    is_native: bool,
) -> None:
    sampled = {"temperature": 1.0, "top_p": 0.9, "num_alternatives": 3}
    requests = [
        ask(4 + 23 * seed, seed, max_new_tokens=6 + 4 * seed, **(sampled if seed % 2 else {}))
        for seed in range(7)
    ]
    alone = [exact(is_native=is_native).complete([request])[0] for request in requests]

    for joins in ({}, {1: 2, 4: 3, 6: 11}, {0: 9, 1: 7, 2: 5, 3: 3, 4: 2, 5: 1}):
        together = run(Scheduler(exact(is_native=is_native)), requests, joins)
        by_first = {tuple(token.id for token in tokens): tokens for tokens in together.values()}
        for answer in alone:
            tokens = next(
                tokens for ids, tokens in by_first.items() if ids[: len(answer.ids)] == answer.ids
            )
            # The probes are floats of the same bits, not merely close.
            assert tuple(token.probe for token in tokens)[: len(answer.ids)] == answer.probes


def test_a_row_that_leaves_mid_flight_changes_no_deterministic_answer() -> None:
    scheduler = Scheduler(exact())
    mine = ask(30, 1, max_new_tokens=20, temperature=1.0)
    alone = exact().complete([mine])[0]
    other = scheduler.submit(ask(50, 2, max_new_tokens=40))
    ticket = scheduler.submit(mine)
    ids = []
    for step in range(25):
        ids += [token.id for token in scheduler.step() if token.row == ticket]
        if step == 7:
            scheduler.cancel(other)

    assert tuple(ids[: len(alone.ids)]) == alone.ids


def test_a_later_turn_prefills_only_what_is_new_and_gets_the_same_tokens() -> None:
    one = engine()
    first = ask(60, 1, max_new_tokens=12)
    answer = one.complete([first])[0]
    turn = [*first.prompt_ids, *answer.ids, 7, 8, 9]
    again = Request(prompt_ids=turn, max_new_tokens=12)
    decoder = one.decoder
    starts: list[int] = []
    prefill = decoder.prefill

    class Watched:
        decode, copy_row = decoder.decode, decoder.copy_row

        def prefill(self, row: int, ids: Sequence[int], start: int, *, is_last: bool) -> object:
            starts.append(start)
            return prefill(row, ids, start, is_last=is_last)

    one.__dict__["decoder"] = Watched()

    reused = one.complete([again])[0]
    assert one.complete([again, again])[1] == reused

    assert starts[0] >= len(turn) - 4
    assert reused.ids == engine().complete([again])[0].ids


def test_a_prompt_longer_than_a_piece_delays_running_rows_by_one_piece_per_token() -> None:
    scheduler = Scheduler(engine())
    short, long = ask(5, 1, max_new_tokens=9), ask(1500, 2, max_new_tokens=2)
    first = scheduler.submit(short)
    scheduler.step()
    second = scheduler.submit(long)

    rows = [[token.row for token in scheduler.step()] for _ in range(3)]

    assert rows == [[first], [first], [first, second]]


def test_rows_far_apart_move_together_and_keep_their_answers() -> None:
    requests = [
        ask(10 + seed, seed, max_new_tokens=30 if seed in (0, 6) else 3) for seed in range(8)
    ]
    alone = [engine().complete([request])[0].ids for request in requests]
    wide = engine(max_rows=8)

    together = run(Scheduler(wide), requests, {})

    for ticket, tokens in together.items():
        kept = tuple(token.id for token in tokens if token.finish != "stop")
        assert kept == alone[ticket]


def test_stop_strings_end_an_answer_across_token_borders_and_are_cut() -> None:
    text = "one two three"
    one, _ = scripted([*TOKENIZER.encode(text), TOKENIZER.special("assistant_end")])

    def answer(*stop: str) -> Completion:
        (done,) = one.complete([Request(prompt_ids=[1], max_new_tokens=40, stop=stop)])
        return done

    assert (answer("two").text, answer("two").finish) == ("one ", "stop")
    assert answer("zzz", "wo th").text == "one t"
    assert answer("three!").text == text
    assert answer("one").text == ""


def test_text_that_may_begin_a_stop_string_is_held_back_until_it_is_certain() -> None:
    one, _ = scripted([*TOKENIZER.encode("a two-b"), TOKENIZER.special("assistant_end")])
    request = Request(prompt_ids=[1], max_new_tokens=40, stop=("two words",))

    pieces = ["".join(part.text for part in token.pieces) for token in one.stream([request])]

    assert pieces == ["a", " ", "", "", "", "two-", "b", ""]


def test_probes_tell_what_the_model_thought_of_each_token() -> None:
    one = engine()
    request = ask(20, 3, max_new_tokens=6, temperature=1.5, num_alternatives=4)

    answer = one.complete([request])[0]

    ids = list(request.prompt_ids)
    for token_id, probe in zip(answer.ids, answer.probes, strict=True):
        assert probe is not None
        with torch.inference_mode():
            logprobs_V = torch.log_softmax(one.model(torch.tensor([ids]))[0, -1], dim=-1)
        best = logprobs_V.topk(4)
        assert probe.entropy_nats == pytest.approx(float(-(logprobs_V.exp() * logprobs_V).sum()))
        assert probe.surprisal_nats == pytest.approx(float(-logprobs_V[token_id]), abs=1e-4)
        assert probe.rank == int((logprobs_V > logprobs_V[token_id]).sum())
        assert [id_ for id_, _ in probe.top] == best.indices.tolist()
        assert [p for _, p in probe.top] == pytest.approx(best.values.exp().tolist(), abs=1e-5)
        ids.append(token_id)
    assert one.complete([ask(20, 3)])[0].probes[0] is None


def test_a_closed_stream_frees_its_rows() -> None:
    one = engine(max_rows=1)
    tokens = one.stream([ask(10, 1), ask(11, 2)])
    next(tokens)

    tokens.close()

    assert one.slots.num_free == 1
    assert len(one.complete([ask(10, 3, max_new_tokens=2)])) == 1
