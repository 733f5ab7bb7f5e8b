"""Entropy, surprisal and perplexity of turns, by hand."""

from __future__ import annotations

import math

import pytest

from core.experiments.measures import entropy
from tests.experiments.builders import trace, turn


def test_entropy_is_pooled_over_tokens_without_the_forced_ones() -> None:
    first = turn(tokens=trace((1, 2, 9), forced=(False, False, True)))
    second = turn(tokens=trace((6,)), index=1)
    assert entropy.mean_entropy_bits([first, second]) == pytest.approx(3)
    assert entropy.mean_entropy_nats([first, second]) == pytest.approx(3 * math.log(2))
    assert entropy.median_entropy_bits([first, second]) == pytest.approx(2)
    assert entropy.median_entropy_nats([first, second]) == pytest.approx(2 * math.log(2))


def test_perplexity_is_the_inverse_geometric_mean_of_the_probabilities() -> None:
    one = turn(tokens=trace((1, 1), probabilities=(0.5, 0.125), ranks=(0, 3)))
    assert entropy.perplexity([one]) == pytest.approx(4)
    assert entropy.mean_surprisal_nats([one]) == pytest.approx(2 * math.log(2))
    assert entropy.mean_probability([one]) == pytest.approx(0.3125)
    assert entropy.mean_rank([one]) == pytest.approx(1.5)


def test_perplexity_under_the_other_model_needs_its_surprisals_of_every_turn() -> None:
    known = turn(tokens=trace((1, 1), other_probabilities=(0.25, 1 / 64), forced=(False, False)))
    assert entropy.other_perplexity([known]) == pytest.approx(16)
    assert entropy.other_perplexity([known, turn(index=1)]) is None


def test_slope_is_that_of_least_squares_over_turn_numbers() -> None:
    # Points (0, 3), (1, 1), (3, 2): mean 4/3 and 2; cov -2/3... by hand: Sxy = -1, Sxx = 14/3.
    turns = [turn(tokens=trace((bits,)), index=index) for index, bits in ((0, 3), (1, 1), (3, 2))]
    assert entropy.entropy_slope_bits(turns) == pytest.approx(-3 / 14)
    assert entropy.entropy_change_bits(turns) == pytest.approx(-1)
    assert entropy.first_entropy_bits(turns) == pytest.approx(3)
    assert entropy.last_entropy_bits(turns) == pytest.approx(2)


def test_turns_without_a_choice_have_no_figures() -> None:
    forced = turn(tokens=trace((1,), forced=(True,), other_probabilities=(0.5,)))
    empty = turn(tokens=trace(()))
    for measure in (
        entropy.mean_entropy_nats, entropy.mean_entropy_bits, entropy.median_entropy_bits,
        entropy.median_entropy_nats, entropy.mean_surprisal_nats, entropy.mean_probability,
        entropy.mean_rank, entropy.perplexity, entropy.other_perplexity,
        entropy.first_entropy_bits, entropy.last_entropy_bits, entropy.entropy_change_bits,
        entropy.entropy_slope_bits,
    ):  # fmt: skip
        for turns in ([], [forced], [empty], [forced, empty]):
            assert measure(turns) is None, measure.__name__


def test_slope_leaves_turns_without_a_choice_out() -> None:
    turns = [
        turn(tokens=trace((4,)), index=0),
        turn(tokens=trace((9,), forced=(True,)), index=1),
        turn(tokens=trace((2,)), index=2),
    ]
    assert entropy.entropy_slope_bits(turns) == pytest.approx(-1)


def test_what_is_no_number_is_undefined() -> None:
    assert entropy.mean_entropy_bits([turn(tokens=trace((math.nan,)))]) is None
    assert entropy.perplexity([turn(tokens=trace((1,), probabilities=(5e-324,)))]) is None
