"""Cosines between turns and to the topic."""

from __future__ import annotations

import math

import pytest

from core.experiments.measures.similarity import cosine, similarity_to_previous, topic_drift
from tests.experiments.builders import turn


def test_cosine_by_hand() -> None:
    assert cosine((3, 4), (4, 3)) == pytest.approx(24 / 25)
    assert cosine((1, 0), (0, 2)) == 0
    assert cosine((1, 1), (-2, -2)) == pytest.approx(-1)


def test_cosine_of_a_vector_without_direction_is_undefined() -> None:
    assert cosine((0, 0), (1, 0)) is None
    assert cosine(None, (1, 0)) is None
    assert cosine((1, 0), (1, 0, 0)) is None
    assert cosine((math.nan, 0), (1, 0)) is None


def test_similarity_is_the_mean_over_neighbours_with_embeddings() -> None:
    turns = [
        turn(embedding=(1, 0)),
        turn(embedding=(1, 0)),
        turn(embedding=(0, 1)),
        turn(),
    ]
    assert similarity_to_previous(turns) == pytest.approx(0.5)
    assert similarity_to_previous(turns[:1]) is None


def test_drift_is_how_far_the_last_turn_is_from_the_topic() -> None:
    turns = [turn(embedding=(1, 0)), turn(embedding=(0, 1))]
    assert topic_drift(turns, (1, 0)) == pytest.approx(1)
    assert topic_drift(turns[:1], (1, 0)) == pytest.approx(0)
    assert topic_drift(turns, None) is None
    assert topic_drift([], (1, 0)) is None
