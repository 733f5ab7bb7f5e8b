"""The table of measures, and what it gives for turns, conversations and sides."""

from __future__ import annotations

import math

import pytest

from core.experiments.measures.measure import measure_all, measure_conversation, measure_turn
from core.experiments.measures.metrics import METRICS
from core.experiments.selfchat.transcript import Conversation, Experiment
from tests.experiments.builders import conversation, setting, trace, turn

TALK = conversation(
    [
        turn("the cat sat on the mat", trace((2, 4), ids=(5, 6)), embedding=(1, 0)),
        turn("a dog ran", trace((1,), ids=(7,)), index=1, side="b", embedding=(0, 1)),
        turn("the cat sat on a mat", trace((1, 1), ids=(5, 6)), index=2, embedding=(0, 1)),
    ],
    topic_embedding=(1, 0),
)


def test_every_metric_says_its_unit_and_meaning_once() -> None:
    names = [one.name for one in METRICS]
    assert len(set(names)) == len(names)
    assert all(one.unit and one.definition for one in METRICS)
    assert [one.name for one in METRICS if one.measure is None] == ["self_bleu"]


def test_conversation_is_measured_over_all_its_turns() -> None:
    found = measure_conversation(TALK)
    assert found["entropy_bits"] == pytest.approx(9 / 5)
    assert found["num_turns"] == 3
    assert found["num_tokens"] == 5
    assert found["num_words"] == 15
    # the cat sat on mat a dog ran.
    assert found["distinct_1"] == pytest.approx(8 / 15)
    assert found["type_token_ratio"] == pytest.approx((5 / 6 + 1 + 1) / 3)
    assert found["longest_repeat_tokens"] == 2
    assert found["similarity_to_previous"] == pytest.approx(0.5)
    assert found["topic_drift"] == pytest.approx(1)
    assert found["entropy_change_bits"] == pytest.approx(-2)
    assert found["has_loop"] == 0
    assert found["loop_onset_turn"] is None
    assert found["other_perplexity"] is None


def test_turn_is_measured_alone_but_for_its_likeness_to_the_turn_before() -> None:
    first, second = measure_turn(TALK, 0), measure_turn(TALK, 1)
    assert first["entropy_bits"] == pytest.approx(3)
    assert first["similarity_to_previous"] is None
    assert second["similarity_to_previous"] == pytest.approx(0)
    assert second["topic_drift"] == pytest.approx(1)
    assert "entropy_slope_bits" not in first


def test_side_is_measured_over_its_own_turns() -> None:
    assert measure_conversation(TALK, side="a")["num_words"] == 12
    assert measure_conversation(TALK, side="b")["entropy_bits"] == pytest.approx(1)


def test_loop_onset_is_the_index_of_the_first_repeating_turn() -> None:
    talk = conversation([turn("so it is", index=index) for index in range(4)])
    found = measure_conversation(talk)
    assert (found["has_loop"], found["loop_onset_turn"]) == (1, 1)


def test_self_bleu_compares_seeds_of_one_topic_and_setting_alone() -> None:
    same = [turn("one two three four")]
    talks = (
        conversation(same, number=0),
        conversation(same, number=1, seed=1),
        conversation(same, number=2, topic="other"),
        conversation(same, number=3, setting=1),
    )
    experiment = Experiment(settings=(setting(0), setting(1)), conversations=talks)
    found = {number: one["self_bleu"] for number, one in measure_all(experiment).items()}
    assert found[0] == found[1] == pytest.approx(1)
    assert found[2] is None and found[3] is None


@pytest.mark.parametrize(
    "talk",
    [
        conversation([]),
        conversation([turn("", trace(()))]),
        conversation([turn("...", trace((math.inf,)))]),
        conversation([turn("\ud800 \x00", trace((math.nan,)), embedding=(0.0, math.nan))]),
    ],
    ids=["no turn", "empty turn", "no word", "not text"],
)
def test_what_is_undefined_is_none_and_never_a_false_number(talk: Conversation) -> None:
    found = measure_conversation(talk)
    assert all(value is None or math.isfinite(value) for value in found.values())
    assert found["entropy_bits"] is None
    assert found["distinct_2"] is None
