"""Strengths from votes: by hand where a formula exists, else from simulated votes."""

from __future__ import annotations

import math
import random

import pytest

from runs.analysis.bradley_terry import Strength, Vote, bradley_terry
from runs.errors import UsageError


def votes(winner: str, loser: str, num: int, *, is_tie: bool = False) -> list[Vote]:
    """Return equal votes."""
    return [Vote(winner=winner, loser=loser, is_tie=is_tie)] * num


def by_name(found: tuple[Strength, ...]) -> dict[str, Strength]:
    """Return strengths by their names."""
    return {one.name: one for one in found}


def test_two_competitors_differ_by_the_log_odds_of_winning() -> None:
    found = bradley_terry(votes("x", "y", 3000) + votes("y", "x", 1000))
    assert [one.name for one in found] == ["x", "y"]
    assert found[0].score - found[1].score == pytest.approx(math.log(3), abs=0.002)
    assert found[0].score == pytest.approx(-found[1].score)
    assert (found[0].wins, found[0].losses, found[0].ties) == (3000, 1000, 0)


def test_interval_of_two_competitors_follows_the_fisher_information() -> None:
    found = bradley_terry(votes("x", "y", 300) + votes("y", "x", 100))[0]
    # d has the variance 1 / (400 * 3/4 * 1/4), and the score is d / 2.
    assert found.ci_high - found.score == pytest.approx(1.96 / 2 / math.sqrt(75), rel=0.01)


def test_three_competitors_reach_a_known_optimum() -> None:
    # Strengths 4 : 2 : 1 give exactly these shares of wins: 2/3, 4/5 and 2/3.
    found = by_name(
        bradley_terry(
            votes("a", "b", 2000) + votes("b", "a", 1000)
            + votes("a", "c", 2400) + votes("c", "a", 600)
            + votes("b", "c", 2000) + votes("c", "b", 1000)
        )
    )  # fmt: skip
    assert found["a"].score == pytest.approx(math.log(2), abs=0.002)
    assert found["b"].score == pytest.approx(0, abs=0.002)
    assert found["c"].score == pytest.approx(-math.log(2), abs=0.002)


def test_undefeated_competitor_stays_finite_and_first() -> None:
    found = bradley_terry(votes("best", "mid", 4) + votes("mid", "last", 4))
    assert [one.name for one in found] == ["best", "mid", "last"]
    assert all(abs(one.score) < 10 for one in found)
    assert all(math.isfinite(one.ci_low) and math.isfinite(one.ci_high) for one in found)


def test_ties_count_half_for_each() -> None:
    tied = bradley_terry(votes("x", "y", 10, is_tie=True))
    assert [one.score for one in tied] == pytest.approx([0, 0])
    assert [one.ties for one in tied] == [10, 10]
    halves = bradley_terry(votes("x", "y", 5) + votes("y", "x", 5))
    assert tied[0].ci_high == pytest.approx(halves[0].ci_high)


def test_groups_that_never_met_get_scores_all_the_same() -> None:
    found = by_name(bradley_terry(votes("a", "b", 9) + votes("c", "d", 9)))
    assert found["a"].score == pytest.approx(found["c"].score)
    assert found["b"].score == pytest.approx(found["d"].score)


def test_no_votes_give_no_strengths() -> None:
    assert bradley_terry([]) == ()


def test_vote_for_oneself_is_refused() -> None:
    with pytest.raises(UsageError, match="two competitors"):
        Vote(winner="x", loser="x")


def test_intervals_cover_the_true_strengths_about_95_times_in_100() -> None:
    truth = {"a": 0.8, "b": 0.1, "c": -0.2, "d": -0.7}
    pairs = [(x, y) for x in truth for y in truth if x < y]
    draw = random.Random(3)
    hits = 0
    for _ in range(100):
        cast = []
        for x, y in pairs * 30:
            is_won = draw.random() < 1 / (1 + math.exp(truth[y] - truth[x]))
            cast.append(Vote(winner=x if is_won else y, loser=y if is_won else x))
        hits += sum(one.ci_low <= truth[one.name] <= one.ci_high for one in bradley_terry(cast))
    # 400 intervals, of which four share their votes: two standard errors are at most 4 points.
    assert 0.91 <= hits / 400 <= 0.99
