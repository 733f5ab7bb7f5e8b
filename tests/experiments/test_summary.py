"""Findings of made-up experiments whose truth is known."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from core.experiments.measures.summary import Summary, summarise
from core.experiments.selfchat.transcript import Conversation, Experiment
from tests.experiments.builders import conversation, setting, trace, turn

VOCABULARY = [f"word{i}" for i in range(40)]


def talk(
    number: int,
    *,
    seed: int,
    topic: str = "the sea",
    setting: int = 0,
    entropies: tuple[float, ...],
    is_loop: bool = False,
) -> Conversation:
    """Return a conversation with one turn for each mean entropy, in bits; b's are odd."""
    draw = random.Random(1000 * setting + seed + len(topic))
    turns = []
    for index, bits in enumerate(entropies):
        text = "so it is" if is_loop else " ".join(draw.choices(VOCABULARY, k=20))
        turns.append(
            turn(
                text,
                trace((bits,) * 4),
                index=index,
                side="a" if index % 2 == 0 else "b",
                embedding=(1.0, 0.1 * index),
            )
        )
    return conversation(
        turns, number=number, seed=seed, topic=topic, setting=setting, topic_embedding=(1.0, 0.0)
    )


def two_temperatures(gap: float, *, num: int = 10) -> Experiment:
    """Return pairs whose entropy is higher by about `gap` bits in the second setting."""
    draw = random.Random(4)
    talks: list[Conversation] = []
    for seed in range(num):
        base = draw.gauss(3, 1)
        for index in (0, 1):
            level = base + gap * index + draw.gauss(0, 0.1)
            entropies = tuple(level - 0.2 * step + draw.gauss(0, 0.05) for step in range(5))
            talks.append(
                talk(len(talks), seed=seed, setting=index, entropies=entropies,
                     is_loop=index == 0 and seed < 7)
            )  # fmt: skip
    return Experiment(settings=(setting(0, 0.6), setting(1, 1.0)), conversations=tuple(talks))


def comparison(found: Summary, metric: str) -> dict[str, object]:
    """Return the JSON row of the comparison of a metric."""
    rows = found.to_json()["comparisons"]
    return next(row for row in rows if row["metric"] == metric)


def test_difference_between_settings_is_found_and_said() -> None:
    found = summarise(two_temperatures(0.5))
    row = comparison(found, "entropy_bits")
    assert (row["a"], row["b"]) == ("T=0.6", "T=1")
    assert row["difference"] == pytest.approx(-0.5, abs=0.1)
    assert isinstance(row["p"], float) and row["p"] < 0.05
    assert str(row["verdict"]).startswith("entropy is lower at T=0.6 than at T=1 by 0.")
    assert str(row["verdict"]).endswith("10 pairs")
    assert found.verdict in [one.verdict for one in found.comparisons]


def test_no_difference_is_said_to_be_no_evidence() -> None:
    verdict = str(comparison(summarise(two_temperatures(0)), "entropy_bits")["verdict"])
    assert verdict.startswith("no evidence of a difference in entropy between T=0.6 and T=1: ")
    assert "p=" in verdict


def test_few_pairs_are_said_to_be_too_few() -> None:
    found = summarise(two_temperatures(3, num=4))
    verdict = str(comparison(found, "entropy_bits")["verdict"])
    assert verdict.startswith(
        "too few pairs to show a difference in entropy between T=0.6 and T=1: -"
    )
    assert verdict.endswith("4 pairs; at least 8 are needed")


def test_setting_says_how_entropy_moves_and_how_often_it_loops() -> None:
    first, second = summarise(two_temperatures(0.5)).settings
    assert first.verdict.startswith("entropy falls 0.")
    assert first.verdict.endswith(" from turn 1 to 5 at T=0.6; loops in 7 of 10 conversations")
    assert second.verdict.endswith("; no loops in 10 conversations")
    loops = first.metrics["has_loop"]
    assert loops is not None and loops.mean == pytest.approx(0.7)


def test_constant_entropy_is_no_evidence_of_a_change() -> None:
    draw = random.Random(2)
    talks = tuple(
        talk(i, seed=i, entropies=tuple(draw.gauss(3, 0.2) for _ in range(3 + i % 2)))
        for i in range(12)
    )
    found = summarise(Experiment(settings=(setting(0, 0.8),), conversations=talks))
    assert found.verdict.startswith(
        "no evidence that entropy changes from the first turn to the last at T=0.8: "
    )


def test_two_models_are_compared_within_their_conversations() -> None:
    draw = random.Random(3)
    talks = []
    for seed in range(12):
        base = draw.gauss(3, 1)
        talks.append(
            talk(seed, seed=seed, entropies=tuple(
                base + (0.4 if index % 2 == 0 else 0) + draw.gauss(0, 0.1) for index in range(6)
            ))
        )  # fmt: skip
    two = setting(0, 0.7, model_b="m2")
    found = summarise(Experiment(settings=(two,), conversations=tuple(talks)))
    row = comparison(found, "entropy_bits")
    assert (row["a"], row["b"]) == ("A at T=0.7", "B at T=0.7")
    assert row["difference"] == pytest.approx(0.4, abs=0.1)
    assert str(row["verdict"]).startswith("A's entropy is higher than B's by 0.")
    assert [one["metric"] for one in found.to_json()["comparisons"]] == ["entropy_bits", "mtld"]


def test_one_model_is_not_compared_with_itself() -> None:
    talks = (talk(0, seed=0, entropies=(1, 2)),)
    found = summarise(Experiment(settings=(setting(),), conversations=talks))
    assert found.comparisons == ()


def test_settings_without_common_seeds_are_compared_as_independent_samples() -> None:
    talks = tuple(
        talk(i, seed=i, setting=i % 2, entropies=(1.0 + i % 2 + i / 100, 1.0 + i % 2))
        for i in range(16)
    )
    experiment = Experiment(settings=(setting(0, 0.5), setting(1, 1.5)), conversations=talks)
    found = summarise(experiment)
    assert "16 conversations" in str(comparison(found, "entropy_bits")["verdict"])


def test_json_has_the_documented_shape_and_only_plain_numbers() -> None:
    found = summarise(two_temperatures(0.5)).to_json()
    assert list(found) == ["settings", "comparisons", "trends"]
    json.dumps(found, allow_nan=False)
    assert found["settings"][0]["temperature"] == 0.6
    entropy = found["settings"][0]["metrics"]["entropy_bits"]
    assert entropy["ci_low"] < entropy["mean"] < entropy["ci_high"]
    assert list(found["comparisons"][0]) == [
        "a", "b", "metric", "difference", "ci_low", "ci_high", "p", "verdict"
    ]  # fmt: skip
    trend = found["trends"][0]
    assert (trend["setting"], trend["metric"]) == ("T=0.6", "entropy_bits")
    assert [point["turn"] for point in trend["turns"]] == [0, 1, 2, 3, 4]
    assert trend["turns"][0]["mean"] > trend["turns"][4]["mean"]
    assert trend["turns"][0]["n"] == 10


def test_summary_repeats_under_its_seed() -> None:
    experiment = two_temperatures(0.3)
    assert summarise(experiment, seed=2) == summarise(experiment, seed=2)


def test_settings_that_differ_in_models_alone_have_different_names() -> None:
    talks = tuple(talk(i, seed=0, setting=i, entropies=(1.0, 2.0)) for i in range(2))
    settings = (setting(0), setting(1, model_b="m2"))
    names = [one.name for one in summarise(
        Experiment(settings=settings, conversations=talks)).settings]  # fmt: skip
    assert names == ["m1 and m1, T=1", "m1 and m2, T=1"]


def test_conversations_without_turns_are_left_out_and_none_at_all_is_no_error() -> None:
    held = two_temperatures(0.5, num=3)
    begun = replace(talk(99, seed=50, entropies=(1.0,)), turns=())
    with_one = Experiment(settings=held.settings, conversations=(*held.conversations, begun))
    assert summarise(with_one) == summarise(held)
    nothing = summarise(Experiment(settings=held.settings, conversations=(begun,)))
    assert nothing.settings[0].metrics["entropy_bits"] is None
    assert nothing.comparisons == ()
    json.dumps(nothing.to_json(), allow_nan=False)
    assert nothing.verdict == "no conversation yet at T=0.6"


def test_single_conversation_has_means_without_intervals() -> None:
    found = summarise(
        Experiment(settings=(setting(),), conversations=(talk(0, seed=0, entropies=(3.0, 2.0)),))
    )
    entropy = found.settings[0].metrics["entropy_bits"]
    assert entropy is not None
    assert entropy.mean == pytest.approx(2.5)
    assert entropy.ci_low is None
    assert (
        found.verdict
        == "entropy falls 1.0 bits from turn 1 to 2 at T=1; no loops in 1 conversation"
    )
