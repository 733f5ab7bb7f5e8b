"""Which checkpoints stay: the newest, the best, and what the budget and the disk allow."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from core.train.retention import Kept, Policy, best_of, given_up, outdated


def saved(*bpbs: float | None, num_bytes: int = 10) -> list[Kept]:
    """Return checkpoints at steps 1, 2, ... that measured so many bits per byte."""
    return [
        Kept(step=step, num_bytes=num_bytes, val_bpb=bpb) for step, bpb in enumerate(bpbs, start=1)
    ]


def policy(num_newest: int = 1, *, best: bool = True, budget: float | None = None) -> Policy:
    return Policy(num_newest=num_newest, keeps_best=best, budget_bytes=budget)


def steps(going: list[Kept] | None) -> list[int] | None:
    return None if going is None else [kept.step for kept in going]


def test_the_newest_and_the_best_stay() -> None:
    found = saved(1.2, 0.9, 1.1, 1.0, None)
    assert steps(outdated(found, policy(2))) == [1, 3]
    assert steps(outdated(found, policy(2, best=False))) == [1, 2, 3]


def test_a_checkpoint_that_was_never_measured_or_measured_nothing_is_not_the_best() -> None:
    best = best_of(saved(None, math.nan, math.inf, 1.0, 1.0, None))
    assert best is not None
    assert best.step == 5
    assert best_of(saved(None, math.nan)) is None


def test_a_budget_takes_the_oldest_first_and_the_best_last() -> None:
    found = saved(0.9, 1.2, 1.1, 1.0)
    assert steps(outdated(found, policy(4, budget=30))) == [2]
    assert steps(outdated(found, policy(4, budget=20))) == [2, 3]
    assert steps(outdated(found, policy(4, budget=10))) == [2, 3, 1]


def test_room_on_a_full_disk_is_made_from_the_oldest_that_is_not_the_best() -> None:
    found = saved(0.9, 1.2, 1.1, 1.0)
    assert steps(given_up(found, policy(), needed_bytes=12, free_bytes=12)) == []
    assert steps(given_up(found, policy(), needed_bytes=12, free_bytes=5)) == [2]
    assert steps(given_up(found, policy(), needed_bytes=12, free_bytes=0)) == [2, 3]


def test_nothing_goes_when_all_of_it_would_not_be_enough() -> None:
    assert given_up(saved(0.9, 1.0), policy(), needed_bytes=50, free_bytes=5) is None


bpb = st.one_of(st.none(), st.floats(0.1, 9.0))


@given(st.lists(bpb, min_size=1, max_size=8), st.integers(1, 4), st.floats(0, 90))
def test_the_newest_stays_whatever_the_rules_say(
    bpbs: list[float | None], num_newest: int, budget: float
) -> None:
    found = saved(*bpbs)
    going = outdated(found, policy(num_newest, budget=budget))
    assert found[-1] not in going
    left = [kept for kept in found if kept not in going]
    assert len(left) == 1 or sum(kept.num_bytes for kept in left) <= budget
    assert len(left) <= num_newest + 1
