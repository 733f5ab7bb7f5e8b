"""Intervals, tests and effect sizes: by hand, and right as often as they claim to be."""

from __future__ import annotations

import math
import time
from itertools import product

import numpy as np
import pytest

from runs.statistics import (
    cliffs_delta,
    hedges_g,
    holm,
    mean_interval,
    paired_difference,
    paired_effect,
    paired_permutation_p,
    paired_share_difference,
    share_interval,
    student_quantile,
    unpaired_difference,
    unpaired_permutation_p,
)

TRIALS = 600
FEW_RESAMPLES = 999


def test_sign_flip_p_of_four_pairs_is_the_count_over_all_sixteen_flips() -> None:
    # 1, 2, 3, -1: sum 5. |sum| >= 5 for (+++-) 5, (++++) 7, (-+++) 5 and their mirrors.
    assert paired_permutation_p([1, 2, 3, -1]) == pytest.approx(6 / 16)


def test_sign_flip_p_equals_a_plain_enumeration() -> None:
    gaps = [0.3, -1.2, 0.8, 2.1, 0.05, -0.4, 1.7]
    sums = [abs(sum(s * g for s, g in zip(signs, gaps, strict=True)))
            for signs in product((1, -1), repeat=7)]  # fmt: skip
    expected = sum(one >= abs(sum(gaps)) - 1e-9 for one in sums) / 128
    assert paired_permutation_p(gaps) == pytest.approx(expected)


def test_p_of_equal_pairs_is_one() -> None:
    assert paired_permutation_p([0.0] * 8) == 1
    assert paired_permutation_p([0.0] * 40) == 1


def test_unpaired_p_counts_the_splits_that_are_as_extreme() -> None:
    # Of 20 splits of 1..6 into threes, only the observed one and its mirror reach a gap of 9.
    assert unpaired_permutation_p([1, 2, 3], [4, 5, 6]) == pytest.approx(2 / 20)


def test_random_permutations_come_close_to_the_exact_p_and_never_reach_zero() -> None:
    rng = np.random.default_rng(5)
    gaps = rng.normal(0.4, 1, 13)
    exact = paired_permutation_p(gaps.tolist())
    # A zero more changes neither sum nor its distribution, and makes the pairs too many.
    assert paired_permutation_p([*gaps.tolist(), 0.0]) == pytest.approx(exact, abs=0.015)
    assert paired_permutation_p([1.0] * 30) == pytest.approx(1 / 10_001)
    assert unpaired_permutation_p([0.0] * 20, [1.0] * 20) == pytest.approx(1 / 10_001)


def test_smallest_p_is_what_the_most_extreme_values_give() -> None:
    assert paired_difference([1, 1, 1, 1], [0, 0, 0, 0]).min_p == 2 / 16
    assert paired_difference([1, 1, 1, 1], [0, 0, 0, 0]).p == 2 / 16
    found = unpaired_difference([5, 6, 7], [1, 2])
    assert found.min_p == found.p == 1 / 10


def test_interval_of_few_values_is_students() -> None:
    found = mean_interval([1, 2, 3])
    half = 4.30265 / math.sqrt(3)
    assert (found.mean, found.num) == (2, 3)
    assert found.ci_low == pytest.approx(2 - half, rel=1e-4)
    assert found.ci_high == pytest.approx(2 + half, rel=1e-4)


def test_single_value_has_no_interval_and_equal_values_one_without_width() -> None:
    assert mean_interval([3.0]).ci_low is None
    found = mean_interval([0.1] * 9)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.1, 0.1))


def test_interval_repeats_under_a_seed() -> None:
    values = np.random.default_rng(0).normal(size=20).tolist()
    assert mean_interval(values, seed=4) == mean_interval(values, seed=4)
    assert mean_interval(values, seed=4) != mean_interval(values, seed=5)


@pytest.mark.parametrize(
    ("degrees", "expected"), [(1, 12.7062), (2, 4.30265), (9, 2.26216), (47, 2.01174)]
)
def test_student_quantile_matches_the_table(degrees: float, expected: float) -> None:
    assert student_quantile(degrees) == pytest.approx(expected, rel=1e-5)


def test_share_interval_matches_wilsons_formula_and_has_width_at_the_ends() -> None:
    # 14 of 20: (0.7 + 1.9207/20 -+ 1.96 sqrt(0.21/20 + 3.8415/1600)) / (1 + 3.8415/20)
    found = share_interval(14, 20)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.48103, 0.85452), abs=1e-5)
    none = share_interval(0, 8)
    assert none.ci_low == 0
    assert none.ci_high == pytest.approx(3.84146 / 11.84146, abs=1e-5)


def test_difference_of_paired_shares_by_hand_and_with_width_where_no_pair_differs() -> None:
    a = [True] * 9 + [False] * 11
    b = [True] * 2 + [False] * 17 + [True]
    # 7 pairs only in a, 1 only in b: 6.0 / 22 -+ 1.96 sqrt(9 - 36 / 22) / 22.
    found = paired_share_difference(a, b)
    assert found.difference == pytest.approx(0.3)
    assert (found.ci_low, found.ci_high) == pytest.approx((0.03097, 0.51448), abs=1e-5)
    # Exact McNemar: 2 (1 + 8) / 2^8, by random flips of 20 pairs.
    assert found.p == pytest.approx(18 / 256, abs=0.01)
    none = paired_share_difference([False] * 20, [False] * 20)
    assert (none.difference, none.p) == (0, 1)
    assert none.ci_high == pytest.approx(1.95996 / 22, abs=1e-5)


def test_effect_sizes_by_hand() -> None:
    # Means 2 and 5, both variances 1: d = -3, shrunk by 1 - 3 / (4 * 4 - 1).
    assert hedges_g([1, 2, 3], [4, 5, 6]) == pytest.approx(-3 * 0.8)
    assert paired_effect([1, 2, 3]) == pytest.approx(2 * (1 - 3 / 7))
    assert paired_effect([1, 1, 1]) is None
    # Pairs: 1 > 0; 1 < 2; 3 > 0; 3 > 2.
    assert cliffs_delta([1, 3], [0, 2]) == pytest.approx(0.5)


def test_holm_corrects_step_by_step_and_stays_monotone() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.9, 0.8]) == (1, 1)
    assert holm([]) == ()


def test_empty_or_unequal_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])
    with pytest.raises(ValueError, match="equally many"):
        paired_difference([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="both sides"):
        unpaired_difference([], [1.0])


# Of 600 trials, a share of 95 % (or 5 %) strays by 1.8 points (two standard errors); the seed is
# fixed. The bands are that, and one point more for the interval's own small-sample error.
@pytest.mark.parametrize("num", [4, 12, 48])
def test_interval_of_a_mean_covers_it_about_95_times_in_100(num: int) -> None:
    rng = np.random.default_rng(num)
    hits = 0
    for trial in range(TRIALS):
        found = mean_interval(
            rng.normal(2, 3, num).tolist(), seed=trial, num_resamples=FEW_RESAMPLES
        )
        assert found.ci_low is not None and found.ci_high is not None
        hits += found.ci_low <= 2 <= found.ci_high
    assert 0.922 <= hits / TRIALS <= 0.978


def test_interval_of_a_skewed_mean_covers_it_at_least_90_times_in_100() -> None:
    # No interval of 12 values of an exponential distribution does better than about 92 %.
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(TRIALS):
        found = mean_interval(
            rng.exponential(1, 12).tolist(), seed=trial, num_resamples=FEW_RESAMPLES
        )
        assert found.ci_low is not None and found.ci_high is not None
        hits += found.ci_low <= 1 <= found.ci_high
    assert 0.88 <= hits / TRIALS <= 0.96


@pytest.mark.parametrize("num", [8, 20])
def test_paired_test_cries_wolf_about_5_times_in_100(num: int) -> None:
    rng = np.random.default_rng(num)
    alarms = 0
    for trial in range(TRIALS):
        base = rng.normal(0, 5, num)
        found = paired_difference(
            (base + rng.normal(size=num)).tolist(),
            (base + rng.normal(size=num)).tolist(),
            seed=trial,
            num_resamples=FEW_RESAMPLES,
        )
        alarms += found.p <= 0.05
    # The test keeps its level exactly, so the band holds two standard errors alone.
    assert 0.03 <= alarms / TRIALS <= 0.07


def test_unpaired_test_and_interval_keep_their_levels_with_unequal_spreads() -> None:
    rng = np.random.default_rng(9)
    alarms = hits = 0
    for trial in range(TRIALS):
        found = unpaired_difference(
            rng.normal(1, 1, 16).tolist(),
            rng.normal(1, 2, 16).tolist(),
            seed=trial,
            num_resamples=FEW_RESAMPLES,
        )
        assert found.ci_low is not None and found.ci_high is not None
        alarms += found.p <= 0.05
        hits += found.ci_low <= 0 <= found.ci_high
    assert 0.022 <= alarms / TRIALS <= 0.078
    assert 0.922 <= hits / TRIALS <= 0.978


def test_paired_test_finds_a_difference_that_the_pairs_share() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0, 5, 20)
    higher = (base + 0.5 + rng.normal(0, 0.3, 20)).tolist()
    found = paired_difference(higher, base.tolist())
    assert found.p < 0.001
    assert found.ci_low is not None and found.ci_low > 0.3
    assert unpaired_difference(higher, base.tolist()).p > 0.2


def test_ten_thousand_resamples_of_48_conversations_are_no_loop_in_python() -> None:
    values = np.random.default_rng(0).normal(size=48).tolist()
    shortest = math.inf
    for _ in range(5):
        start = time.process_time()
        mean_interval(values)
        paired_permutation_p(values)
        shortest = min(shortest, time.process_time() - start)
    # A loop takes 10,000 times some 20 us for the means alone.
    assert shortest < 0.15
