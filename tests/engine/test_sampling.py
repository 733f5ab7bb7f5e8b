"""Drawing tokens: limits, frequencies and the two ends of the uniform numbers."""

from __future__ import annotations

import torch

from core.engine.request import Request
from core.engine.sampling import Sampler, draw

LOGITS_BV = torch.tensor([[1.0, 3.0, 2.0, -4.0]])
ALMOST_ONE = torch.tensor([1 - 2.0**-24])


def test_temperature_zero_takes_the_likeliest_token_of_every_row() -> None:
    requests = [Request(prompt_ids=[0], max_new_tokens=3) for _ in range(2)]
    sampler = Sampler(requests, torch.device("cpu"))

    assert sampler.pick(torch.cat((LOGITS_BV, -LOGITS_BV)), 2).tolist() == [1, 3]


def test_drawn_frequencies_follow_the_softmax() -> None:
    num = 20_000
    uniform_B = torch.rand(num, generator=torch.Generator().manual_seed(0))

    ids_B = draw(LOGITS_BV.expand(num, -1), uniform_B, temperature=2.0)

    shares = torch.bincount(ids_B, minlength=4) / num
    assert torch.allclose(shares, torch.softmax(LOGITS_BV[0] / 2, dim=0), atol=0.01)


def test_top_k_never_leaves_the_k_likeliest() -> None:
    uniform_B = torch.linspace(0, 1 - 2.0**-24, 200)

    ids_B = draw(LOGITS_BV.expand(200, -1), uniform_B, temperature=5.0, top_k=2)

    assert set(ids_B.tolist()) == {1, 2}
    assert draw(LOGITS_BV, ALMOST_ONE, temperature=5.0, top_k=1).tolist() == [1]
    assert draw(LOGITS_BV, ALMOST_ONE, temperature=5.0, top_k=999).tolist() == [3]


def test_top_p_keeps_the_fewest_tokens_that_hold_the_share() -> None:
    # Probabilities 0.665, 0.245, 0.090, 0.0006 from the likeliest down.
    for top_p, kept in ((0.6, {1}), (0.7, {1, 2}), (0.95, {0, 1, 2}), (1.0, {0, 1, 2, 3})):
        uniform_B = torch.linspace(0, 1 - 2.0**-24, 5000)
        ids_B = draw(LOGITS_BV.expand(5000, -1), uniform_B, temperature=1.0, top_p=top_p)
        assert set(ids_B.tolist()) == kept


def test_a_token_of_no_probability_is_never_drawn() -> None:
    logits_BV = torch.tensor([[0.0, -1e9, -1e9]])

    for uniform in (0.0, 0.5, float(ALMOST_ONE)):
        assert draw(logits_BV, torch.tensor([uniform]), temperature=1.0).tolist() == [0]


def test_a_row_draws_the_same_whatever_the_other_rows_ask_for() -> None:
    mine = Request(prompt_ids=[0], max_new_tokens=30, temperature=1.0, seed=3)
    other = Request(prompt_ids=[0], max_new_tokens=50, temperature=0.7, top_k=2, seed=3)
    greedy = Request(prompt_ids=[0], max_new_tokens=1)
    device = torch.device("cpu")

    def draws(requests: list[Request], row: int) -> list[int]:
        sampler = Sampler(requests, device)
        logits_BV = LOGITS_BV.expand(len(requests), -1)
        return [int(sampler.pick(logits_BV, step)[row]) for step in range(30)]

    assert draws([mine], 0) == draws([other, mine, greedy], 1)
