"""Schedules over a run, against the numbers of nanochat's, and in runs too short for those."""

from __future__ import annotations

import pytest

from core.scaling_laws import WARMUP_STEPS, warmup_share
from core.schedule import lr_multiplier, muon_momentum, steps_for_ratio, weight_decay_multiplier
from tests.core.published import published_rate

# A d12 at 12 tokens per parameter.
D12_STEPS = 2520


def test_rate_of_a_d12_is_that_of_nanochat_at_every_step() -> None:
    for step in range(D12_STEPS):
        ours = lr_multiplier(
            step, D12_STEPS, warmup_ratio=warmup_share(D12_STEPS), warmdown_ratio=0.65,
            final_frac=0.05,
        )  # fmt: skip
        assert ours == pytest.approx(published_rate(step, D12_STEPS))


def test_classic_rate_falls_to_zero_over_the_last_fifth() -> None:
    def rate(step: int) -> float:
        return lr_multiplier(step, 21_400, warmup_ratio=0, warmdown_ratio=0.2, final_frac=0)

    assert [rate(0), rate(17_120)] == [1.0, 1.0]
    assert rate(21_400 - 2140) == pytest.approx(0.5)
    assert rate(21_399) == pytest.approx(1 / 4280)


@pytest.mark.parametrize(("total", "steps"), [(100_000, 40), (2520, 40), (800, 40), (360, 18)])
def test_warm_up_is_forty_steps_but_a_twentieth_of_a_short_run(total: int, steps: int) -> None:
    assert round(warmup_share(total) * total) == steps <= WARMUP_STEPS


def test_momentum_of_a_d12_rises_over_400_steps_and_falls_with_the_rate() -> None:
    def momentum(step: int) -> float:
        return muon_momentum(step, D12_STEPS, warmdown_ratio=0.65)

    assert momentum(0) == 0.85
    assert momentum(200) == pytest.approx(0.91)
    assert momentum(400) == momentum(D12_STEPS - 1638) == pytest.approx(0.97)
    assert momentum(D12_STEPS - 819) == pytest.approx(0.935)


def test_a_given_momentum_warm_up_is_kept_in_a_short_run_as_in_nanochat() -> None:
    def momentum(step: int) -> float:
        return muon_momentum(step, 160, warmdown_ratio=0.65, warmup_steps=400)

    assert momentum(0) == 0.85
    assert momentum(159) == pytest.approx(0.85 + 0.12 * 159 / 400)


def test_momentum_of_a_short_run_reaches_its_peak() -> None:
    # With a warm-up of 400 steps it would not in 360, and would jump at the 400th of 1,000.
    assert max(muon_momentum(step, 360, warmdown_ratio=0.65) for step in range(360)) > 0.969
    at_400 = [muon_momentum(step, 1000, warmdown_ratio=0.65) for step in (399, 400)]
    assert abs(at_400[1] - at_400[0]) < 0.001


def test_decay_falls_by_half_a_cosine() -> None:
    assert [weight_decay_multiplier(step, 100) for step in (0, 50)] == pytest.approx([1, 0.5])
    assert weight_decay_multiplier(75, 100) == pytest.approx(0.146447, abs=1e-6)


def test_horizon_of_a_ratio_is_rounded_down_to_whole_steps() -> None:
    assert steps_for_ratio(12, 110_100_912, 524_288) == D12_STEPS
    assert steps_for_ratio(20, 560_988_160, 524_288) == 21_400
    assert steps_for_ratio(0.001, 100, 4096) == 1
