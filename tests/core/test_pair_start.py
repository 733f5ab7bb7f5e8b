"""A start from token pairs: exact counts, and a model that knows them before its first step."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.data.tokens import TokenSplit, ragged
from core.model import GPT
from core.ranks import Ranks
from core.train import pair_start
from core.train.pair_start import count_pairs, start_from_pairs
from tests.core.builders import tiny_config

ALONE = Ranks(rank=0, world_size=1, device=torch.device("cpu"))


def text(*documents: list[int]) -> TokenSplit:
    return ragged((ids, [1] * len(ids)) for ids in documents)


def test_pairs_are_counted_inside_documents_only() -> None:
    pairs = count_pairs(text([0, 1, 2, 1, 2], [3], [0, 1, 3]), 4)
    found = {
        (context, int(pairs.following[at])): int(pairs.counts[at])
        for context in range(4)
        for at in range(int(pairs.starts[context]), int(pairs.starts[context + 1]))
    }
    assert found == {(0, 1): 2, (1, 2): 2, (2, 1): 1, (1, 3): 1}
    assert pairs.seen.tolist() == [2, 3, 1, 0]


def test_the_model_predicts_by_the_frequencies_of_pairs_before_its_first_step() -> None:
    # After 5 come 6 and 7 in three to one; 5 comes after either.
    split = text(*[[5, 6, 5, 6, 5, 6, 5, 7] * 40] * 10)
    model = GPT(tiny_config())
    model.init_weights(torch.Generator().manual_seed(0))
    before = model(torch.tensor([[5, 6, 7]]))

    told = list(start_from_pairs(model, split, ALONE, num_steps=60))

    after = F.log_softmax(model(torch.tensor([[5, 6, 7]])), dim=-1).detach()
    assert before.abs().max() < 0.1
    assert [event.done for event in told] == list(range(1, 61))
    assert after[0, 0, 6].exp() == pytest.approx(0.75, abs=0.05)
    assert after[0, 0, 7].exp() == pytest.approx(0.25, abs=0.05)
    assert min(after[0, 1, 5].exp(), after[0, 2, 5].exp()) > 0.9


def test_a_token_that_was_never_seen_keeps_its_embedding() -> None:
    model = GPT(tiny_config())
    model.init_weights(torch.Generator().manual_seed(0))
    before = model.wte.weight[9].clone()
    list(start_from_pairs(model, text([1, 2, 1, 2, 1]), ALONE, num_steps=3))
    assert torch.equal(model.wte.weight[9], before)
    assert not torch.equal(model.wte.weight[1], before)


def test_no_more_of_a_large_text_is_read_than_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_start, "MAX_TOKENS", 5)
    shards = (np.array([0, 1, 2], dtype=np.uint16), np.tile(np.array([3, 1], np.uint16), 1 << 20))
    split = TokenSplit(
        arrays=shards, offsets=np.array([0, 3, 3 + (1 << 21)]), first_docs=(0, 1), names=("a", "b")
    )
    tracemalloc.start()
    try:
        pairs = count_pairs(split, 4)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 0 1, 1 2 and, in the second document, 3 1.
    assert (pairs.seen.tolist(), pairs.following.tolist()) == ([1, 1, 0, 1], [1, 2, 1])
    assert peak < shards[1].nbytes / 10
