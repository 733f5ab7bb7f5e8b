"""Drawing tokens: limits, frequencies, penalties and the two ends of the uniform numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from core.engine.candidates import argmax, top
from core.engine.request import Request
from core.engine.sampling import Filters, Sampler, draw, uniform

LOGITS_BV = torch.tensor([[1.0, 3.0, 2.0, -4.0]])
ALMOST_ONE = torch.tensor([1 - 2.0**-32], dtype=torch.float64)
CPU = torch.device("cpu")


def ask(**settings: Any) -> Request:
    return Request(**{"prompt_ids": [0], "max_new_tokens": 3, **settings})


def drawn(logits_BV: Tensor, uniform_B: Tensor, **settings: Any) -> Tensor:
    requests = [ask(**settings)] * len(uniform_B)
    is_sorted = settings.get("top_k") or settings.get("top_p")
    num_candidates = settings.get("top_k") or logits_BV.size(-1) if is_sorted else None
    return draw(logits_BV, uniform_B, Filters.of(requests, CPU), num_candidates)


def everywhere(count: int) -> Tensor:
    return torch.linspace(0, 1 - 2.0**-32, count, dtype=torch.float64)


def test_temperature_zero_takes_the_likeliest_token_of_every_row() -> None:
    sampler = Sampler([ask(), ask()], CPU)

    assert sampler.pick(torch.cat((LOGITS_BV, -LOGITS_BV)), [2, 2]) == [1, 3]


@pytest.mark.parametrize("settings", [{}, {"top_k": 4}, {"top_p": 1 - 1e-9}])
def test_drawn_frequencies_follow_the_softmax(settings: dict[str, Any]) -> None:
    num = 20_000
    uniform_B = torch.rand(num, generator=torch.Generator().manual_seed(0))

    ids_B = drawn(LOGITS_BV.expand(num, -1), uniform_B, temperature=2.0, **settings)

    shares = torch.bincount(ids_B, minlength=4) / num
    assert torch.allclose(shares, torch.softmax(LOGITS_BV[0] / 2, dim=0), atol=0.01)


def test_top_k_never_leaves_the_k_likeliest() -> None:
    ids_B = drawn(LOGITS_BV.expand(200, -1), everywhere(200), temperature=5.0, top_k=2)

    assert set(ids_B.tolist()) == {1, 2}
    assert drawn(LOGITS_BV, ALMOST_ONE, temperature=5.0, top_k=1).tolist() == [1]
    assert drawn(LOGITS_BV, ALMOST_ONE, temperature=5.0, top_k=999).tolist() == [3]


def test_top_p_keeps_the_fewest_tokens_that_hold_the_share() -> None:
    # Probabilities 0.665, 0.245, 0.090, 0.0006 from the likeliest down.
    for top_p, kept in ((0.6, {1}), (0.7, {1, 2}), (0.95, {0, 1, 2}), (1 - 1e-9, {0, 1, 2, 3})):
        logits_BV = LOGITS_BV.expand(5000, -1)
        ids_B = drawn(logits_BV, everywhere(5000), temperature=1.0, top_p=top_p)
        assert set(ids_B.tolist()) == kept


def test_min_p_keeps_tokens_of_that_share_of_the_likeliest_ones_probability() -> None:
    for min_p, kept in ((0.5, {1}), (0.3, {1, 2}), (0.1, {0, 1, 2}), (1e-9, {0, 1, 2, 3})):
        for more in ({}, {"top_k": 4}, {"top_p": 1 - 1e-9}):
            logits_BV = LOGITS_BV.expand(5000, -1)
            ids_B = drawn(logits_BV, everywhere(5000), temperature=1.0, min_p=min_p, **more)
            assert set(ids_B.tolist()) == kept


def test_a_nucleus_wider_than_the_candidates_is_drawn_from_all_tokens() -> None:
    flat_BV = torch.zeros(4000, 3000)
    flat_BV[:2000, 5] = 30.0
    filters = Filters.of([ask(temperature=1.0, top_p=0.9)] * 4000, CPU)

    ids_B = draw(flat_BV, everywhere(4000), filters, 1024)

    assert set(ids_B[:2000].tolist()) == {5}
    assert len(set(ids_B[2000:].tolist())) > 1300


def test_a_token_of_no_probability_is_never_drawn() -> None:
    for likeliest in (0, 1, 2):
        logits_BV = torch.full((1, 3), -1e9)
        logits_BV[0, likeliest] = 0.0
        for number in (0.0, 0.5, float(ALMOST_ONE)):
            uniform_B = torch.tensor([number], dtype=torch.float64)
            assert drawn(logits_BV, uniform_B, temperature=1.0).tolist() == [likeliest]


def test_a_row_draws_the_same_whatever_the_other_rows_ask_for() -> None:
    mine = ask(temperature=1.0, seed=3)
    other, greedy = ask(temperature=0.7, top_k=2, seed=3), ask()

    def draws(requests: list[Request | None], row: int) -> list[int]:
        sampler = Sampler(requests, CPU)
        logits_BV = LOGITS_BV.expand(len(requests), -1)
        return [sampler.pick(logits_BV, [step] * len(requests))[row] for step in range(30)]

    assert draws([mine], 0) == draws([other, None, mine, greedy], 2)
    assert len(set(draws([mine], 0))) > 1


def test_draws_are_numbers_of_seed_and_step_alone_and_spread_evenly() -> None:
    numbers = torch.tensor([uniform(seed, step) for seed in range(100) for step in range(100)])

    assert uniform(7, 3) == uniform(7, 3)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = torch.histc(numbers, bins=10, min=0, max=1)
    assert (counts - 1000).abs().max() < 150
    assert len(set(numbers.tolist())) > 9990


def test_the_repetition_penalty_divides_positive_and_multiplies_negative_logits() -> None:
    raw_BV = torch.tensor([[2.0, 1.5, -1.0, -1.2]])
    request = ask(prompt_ids=[0, 2], repetition_penalty=2.0)
    sampler = Sampler([request, None], CPU, histories=[[0, 2], []], vocab_size=4)
    both_BV = raw_BV.expand(2, -1)

    # 2.0 / 2 falls below 1.5; once 1 is taken too, 1.5 / 2 stays below 1.0.
    assert sampler.pick(both_BV, [0, 0])[0] == 1
    sampler.observe([1, 0])
    assert sampler.pick(both_BV, [1, 0])[0] == 0
    sampler.observe([0, 0])
    negative = Sampler([request], CPU, histories=[[0, 2]], vocab_size=4)
    assert negative.pick(torch.tensor([[-9.0, -9.0, -1.0, -1.2]]), [0]) == [3]


def test_soft_capped_logits_are_what_is_drawn_from() -> None:
    raw_BV = torch.tensor([[100.0, 50.0, 0.0]])
    picks = [
        Sampler([ask(temperature=5.0, seed=seed)], CPU, softcap=15.0).pick(raw_BV, [0])[0]
        for seed in range(200)
    ]

    # Capped at 15 the first two are about equal; raw, the second would never come.
    assert 60 < picks.count(1) < 120


@pytest.mark.parametrize("width", [10, 64, 265, 4096, 5000])
def test_the_top_of_a_row_is_found_as_by_sorting(width: int) -> None:
    values_BV = torch.randn(3, width, generator=torch.Generator().manual_seed(width))

    for count in (1, 5, 60):
        values, ids = top(values_BV, count)
        expected = values_BV.topk(min(count, width), dim=-1)
        assert torch.equal(values, expected.values)
        assert torch.equal(ids, expected.indices)
    assert argmax(values_BV) == values_BV.argmax(dim=-1).tolist()
