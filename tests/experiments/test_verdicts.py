"""The sentences, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.experiments.measures.verdicts import comparison_verdict, setting_verdict
from runs.statistics import Difference, Estimate

FOUND = Difference(
    difference=0.41, ci_low=0.204, ci_high=0.6, p=0.001, effect=1.0, is_paired=True, num=20,
    min_p=0.0001,
)  # fmt: skip


def verdict(found: Difference, *, p: float, where: str | None = None, reachable: float = 0) -> str:
    """Return the sentence on an entropy difference, one of three tests."""
    names = ("T=1", "T=0.6") if where is None else ("A", "B")
    return comparison_verdict(
        names, where=where, metric="entropy_bits", found=found, p=p, reachable_p=reachable,
        num_tests=3,
    )  # fmt: skip


def test_difference_names_the_higher_one_with_size_interval_and_p() -> None:
    assert verdict(FOUND, p=0.003) == (
        "entropy is higher at T=1 than at T=0.6 by 0.41 bits [0.20, 0.60], p=0.003, 20 pairs"
    )
    assert verdict(FOUND, p=0.0003, where="T=1") == (
        "A's entropy is higher than B's by 0.41 bits [0.20, 0.60] at T=1, p<0.001, 20 pairs"
    )


def test_negative_difference_is_said_as_lower_by_a_positive_size() -> None:
    lower = replace(FOUND, difference=-0.41, ci_low=-0.6, ci_high=-0.204)
    assert verdict(lower, p=0.003) == (
        "entropy is lower at T=1 than at T=0.6 by 0.41 bits [0.20, 0.60], p=0.003, 20 pairs"
    )


def test_large_p_is_no_evidence_and_a_p_lost_to_correction_too_little() -> None:
    small = replace(FOUND, difference=0.02, p=0.6, num=8)
    assert verdict(small, p=0.6) == (
        "no evidence of a difference in entropy between T=1 and T=0.6: +0.020 bits, p=0.6, 8 pairs"
    )
    assert verdict(replace(FOUND, p=0.03), p=0.09) == (
        "too little evidence of a difference in entropy between T=1 and T=0.6: +0.41 bits, "
        "p=0.09 after correction for 3 comparisons, 20 pairs"
    )


def test_values_too_few_for_any_finding_are_called_so_with_the_number_needed() -> None:
    few = replace(FOUND, num=3, p=0.25)
    # 3 * 2^(1 - 7) = 0.047.
    assert verdict(few, p=0.75, reachable=0.75) == (
        "too few pairs to show a difference in entropy between T=1 and T=0.6: +0.41 bits, "
        "3 pairs; at least 7 are needed"
    )
    unpaired = replace(few, is_paired=False)
    assert verdict(unpaired, p=0.75, reachable=0.75) == (
        "too few conversations to show a difference in entropy between T=1 and T=0.6: "
        "+0.41 bits, 3 conversations"
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((-0.8, -1.1, -0.5), "entropy falls 0.80 bits [0.50, 1.10] from turn 1 to 8 at T=0.6"),
        ((1.25, 0.5, 2.0), "entropy rises 1.2 bits [0.5, 2.0] from turn 1 to 8 at T=0.6"),
        (
            (-0.1, -0.3, 0.1),
            "no evidence that entropy changes from turn 1 to 8 at T=0.6: -0.10 bits [-0.30, 0.10]",
        ),
        ((0.9999, 0.9, 1.1), "entropy rises 1.0 bits [0.9, 1.1] from turn 1 to 8 at T=0.6"),
    ],
)
def test_trend_says_which_way_entropy_goes(
    change: tuple[float, float, float], expected: str
) -> None:
    mean, low, high = change
    found = setting_verdict(
        "T=0.6",
        change=Estimate(mean=mean, ci_low=low, ci_high=high, num=20),
        num_turns=8,
        num_loops=14,
        num_conversations=20,
    )
    assert found == f"{expected}; loops in 14 of 20 conversations"


def test_single_turns_show_no_trend() -> None:
    found = setting_verdict("T=0.6", change=None, num_turns=1, num_loops=0, num_conversations=2)
    assert found == "too few turns to see entropy change at T=0.6; no loops in 2 conversations"
