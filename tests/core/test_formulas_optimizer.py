"""The schedules over a run, each against nanochat's own rule at every step of a run.

What is proven where:

rates of the groups ................. test_scaling_laws (d20), test_optim
AdamW, Muon, their variants ......... test_optim
sums over ranks, sharded state ...... test_optim, test_training
learning rate, current .............. here (every step), test_schedule (a d12)
learning rate, classic .............. test_schedule
warm-up scaled to short runs ........ here, test_schedule
momentum, current ................... here (every step), test_schedule (a d12)
momentum in short runs .............. here, test_schedule
decay, half a cosine ................ here (every step), test_schedule
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from core import schedule
from core.scaling_laws import WARMUP_STEPS, warmup_share
from core.schedule import lr_multiplier, muon_momentum, weight_decay_multiplier

# Horizons of a d8, d12, d20 and d32 at 12 tokens per parameter.
HORIZONS = (1920, 2520, 4980, 9600)


def published_rate(step: int, total: int) -> float:
    """Return nanochat's factor: 40 steps up, the last 65 percent down to 5 percent."""
    down = round(0.65 * total)
    if step < 40:
        return (step + 1) / 40
    if step <= total - down:
        return 1.0
    left = (total - step) / down
    return left + (1 - left) * 0.05


def published_momentum(step: int, total: int) -> float:
    """Return nanochat's momentum: 400 steps up, whatever the length of the run."""
    down = round(0.65 * total)
    if step < 400:
        return 0.85 + (0.97 - 0.85) * step / 400
    if step >= total - down:
        return 0.97 + (0.90 - 0.97) * (step - (total - down)) / down
    return 0.97


def rate(step: int, total: int, *, warmup_ratio: float) -> float:
    return lr_multiplier(
        step, total, warmup_ratio=warmup_ratio, warmdown_ratio=0.65, final_frac=0.05
    )


def momentum(step: int, total: int) -> float:
    return muon_momentum(step, total, warmdown_ratio=0.65)


@pytest.mark.parametrize("total", [200, 528, 1062, *HORIZONS])
def test_rate_with_forty_steps_of_warm_up_is_the_published_one_in_runs_of_any_length(
    total: int,
) -> None:
    for step in range(total):
        ours = rate(step, total, warmup_ratio=40 / total)
        assert ours == pytest.approx(published_rate(step, total)), step


@pytest.mark.parametrize("total", HORIZONS)
def test_the_law_keeps_the_published_warm_up_from_800_steps_on(total: int) -> None:
    assert [rate(step, total, warmup_ratio=warmup_share(total)) for step in (0, 19, 39, 40)] == [
        pytest.approx(value) for value in (0.025, 0.5, 1.0, 1.0)
    ]


@pytest.mark.parametrize("total", [20, 100, 360, 799])
def test_the_law_gives_a_twentieth_of_a_shorter_run_to_its_warm_up(total: int) -> None:
    share = warmup_share(total)
    assert share == 0.05
    rising = [step for step in range(total) if rate(step, total, warmup_ratio=share) < 1][:41]
    warmup = round(0.05 * total)
    assert warmup <= WARMUP_STEPS
    # The last step of the rise has the whole rate already.
    assert rising[: warmup - 1] == list(range(warmup - 1))
    assert rate(warmup - 1, total, warmup_ratio=share) == 1.0


def test_rate_at_named_steps_of_a_d12() -> None:
    # 2,520 steps: down from step 882 on, over 1,638.
    share = warmup_share(2520)
    named = {0: 1 / 40, 39: 1.0, 882: 1.0, 882 + 819: 0.525, 2519: 0.05 + 0.95 / 1638}
    for step, expected in named.items():
        assert rate(step, 2520, warmup_ratio=share) == pytest.approx(expected)


@pytest.mark.parametrize("total", HORIZONS)
def test_momentum_is_the_published_one_in_runs_of_1600_steps_and_more(total: int) -> None:
    for step in range(total):
        assert momentum(step, total) == pytest.approx(published_momentum(step, total)), step


@pytest.mark.parametrize("total", [100, 528, 1062])
def test_momentum_with_the_share_switched_off_is_the_published_one_with_its_jump(
    total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "MOMENTUM_WARMUP_SHARE", 1e9)
    for step in range(total):
        assert momentum(step, total) == pytest.approx(published_momentum(step, total)), step


@pytest.mark.parametrize("total", [20, 100, 360])
def test_momentum_of_a_run_below_400_steps_reaches_the_peak_that_nanochats_does_not(
    total: int,
) -> None:
    assert max(published_momentum(step, total) for step in range(total)) < 0.9581
    assert max(momentum(step, total) for step in range(total)) == pytest.approx(0.97, abs=1e-9)
    assert momentum(0, total) == 0.85


@pytest.mark.parametrize(("total", "jump"), [(528, 0.04358), (800, 0.01585), (1000, 0.00508)])
def test_momentum_does_not_jump_at_step_400_of_a_run_below_1143(total: int, jump: float) -> None:
    there = published_momentum(399, total) - published_momentum(400, total)
    assert there == pytest.approx(jump, abs=1e-5)
    ours = [momentum(step, total) for step in range(total)]
    steepest = max(abs(after - before) for before, after in pairwise(ours))
    # One step of the rise: the whole of it over a quarter of the run.
    assert steepest == pytest.approx(0.12 / (0.25 * total), rel=1e-6)
    assert max(ours) == pytest.approx(0.97)


@pytest.mark.parametrize("total", [100, 2520])
def test_decay_is_half_a_cosine_of_the_share_of_the_run(total: int) -> None:
    for step in range(total):
        expected = 0.28 * (1 + math.cos(math.pi * step / total)) / 2
        assert 0.28 * weight_decay_multiplier(step, total) == pytest.approx(expected)
    assert weight_decay_multiplier(total, total) == 0


def test_decay_at_named_shares_of_a_d12() -> None:
    named = {0: 0.28, 630: 0.28 * 0.853553, 1260: 0.14, 1890: 0.28 * 0.146447}
    for step, expected in named.items():
        assert 0.28 * weight_decay_multiplier(step, 2520) == pytest.approx(expected, rel=1e-5)
