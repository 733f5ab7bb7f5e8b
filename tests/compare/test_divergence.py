"""Where answers part and how far models disagree, against direct computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.engine.engine import Engine
from core.engine.request import Request
from core.experiments.compare.divergence import Divergence, diverge, part, read_answer
from core.model import GPT
from tests.engine.builders import TOKENIZER, random_model, tiny_config

END = TOKENIZER.special("assistant_end")
A, B = random_model(tiny_config(), seed=1), random_model(tiny_config(num_layers=3), seed=2)
PROMPT_A = [TOKENIZER.bos, *TOKENIZER.encode("One prompt,")]
# The same words in another form, as a base model and a chat model get them.
PROMPT_B = [TOKENIZER.bos, *TOKENIZER.encode(" asked otherwise: One prompt,")]
SPACING = 10
ANSWER = TOKENIZER.encode("an answer of some length, longer than one chunk of positions is. " * 2)


def probabilities(model: GPT, prompt: list[int], shared: list[int]) -> NDArray[np.float64]:
    """Return the next-token distributions after every SPACING-th prefix, a pass for each."""
    rows = []
    for num in range(0, len(shared) + 1, SPACING):
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *shared[:num]]]))[0, -1].double().numpy()
        shares = np.exp(logits - logits.max())
        rows.append(shares / shares.sum())
    return np.array(rows)


def kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    return (p * np.log(p / q)).sum(axis=1)


def measured(num_choices: int) -> Divergence:
    hidden_a = read_answer(A, PROMPT_A, ANSWER)
    hidden_b = read_answer(B, PROMPT_B, ANSWER)
    return diverge(A, hidden_a, B, hidden_b, num_choices)


def test_every_divergence_is_that_of_the_full_distributions() -> None:
    num_shared = 100
    p = probabilities(A, PROMPT_A, ANSWER[:num_shared])
    q = probabilities(B, PROMPT_B, ANSWER[:num_shared])
    mixed = (p + q) / 2

    found = measured(num_shared + 1)

    assert np.allclose(found.kl_ab_nats[::SPACING], kl(p, q), atol=1e-5)
    assert np.allclose(found.kl_ba_nats[::SPACING], kl(q, p), atol=1e-5)
    assert np.allclose(found.js_nats[::SPACING], (kl(p, mixed) + kl(q, mixed)) / 2, atol=1e-5)
    assert min(found.kl_ab_nats) > 0.001
    assert max(found.js_nats) < math.log(2)


def test_a_model_does_not_diverge_from_itself() -> None:
    hidden = read_answer(A, PROMPT_A, ANSWER)

    found = diverge(A, hidden, A, hidden, len(ANSWER))

    assert set(found.kl_ab_nats + found.kl_ba_nats) == {0.0}
    assert max(found.js_nats) < 1e-12


def test_a_likely_token_of_a_greedy_answer_is_the_one_that_the_pass_predicts() -> None:
    engine = Engine(A, TOKENIZER)
    answer = engine.complete([Request(prompt_ids=PROMPT_A, max_new_tokens=12)])[0]

    with torch.no_grad():
        logits = A.logits(read_answer(A, PROMPT_A, answer.ids))

    assert tuple(logits.argmax(dim=-1).tolist()) == answer.ids


def test_means_are_given_in_nats_and_in_bits() -> None:
    row = Divergence(kl_ab_nats=(0.0, math.log(2)), kl_ba_nats=(1.0, 3.0), js_nats=(0.5,)).as_row()

    assert row["mean_kl_ab_bits"] == pytest.approx(0.5)
    assert row["mean_kl_ba_nats"] == 2.0
    assert row["js_nats"] == [0.5]


def test_answers_part_at_their_first_differing_token() -> None:
    found = part(TOKENIZER, TOKENIZER.encode("abcd"), TOKENIZER.encode("abXd"))

    assert (found.num_shared, found.text_a, found.text_b) == (2, "c", "X")
    assert found.num_choices == 3
    assert not found.is_same


def test_an_answer_that_ends_earlier_parts_at_its_end() -> None:
    short, long = [*TOKENIZER.encode("ab"), END], [*TOKENIZER.encode("abc"), END]

    found = part(TOKENIZER, short, long)

    assert (found.num_shared, found.text_a, found.text_b) == (2, "<|assistant_end|>", "c")


def test_an_answer_that_was_cut_off_has_no_token_where_the_other_goes_on() -> None:
    found = part(TOKENIZER, TOKENIZER.encode("ab"), TOKENIZER.encode("abc"))

    assert (found.num_shared, found.id_a, found.text_b) == (2, None, "c")
    assert found.num_choices == 2


def test_equal_answers_never_part() -> None:
    ids = [*TOKENIZER.encode("ab"), END]

    found = part(TOKENIZER, ids, ids)

    assert found.is_same
    assert (found.num_shared, found.num_choices) == (3, 3)
