"""What a step says of the whole training: smoothed loss, time that is left."""

from __future__ import annotations

import pytest

from core.train.pace import BETA, STEPS_LEFT_OUT, Pace, smoothed_loss


def test_the_smoothed_loss_is_the_exponential_mean_without_its_bias() -> None:
    losses = [9.0, 7.5, 7.9, 6.0, 6.2, 5.5]
    smooth, biased = None, 0.0
    for step, loss in enumerate(losses, start=1):
        smooth = smoothed_loss(smooth, loss, step)
        biased = BETA * biased + (1 - BETA) * loss
        assert smooth == pytest.approx(biased / (1 - BETA**step), rel=1e-12)


def test_the_time_left_counts_the_steps_after_the_first_ones() -> None:
    pace = Pace()
    for _ in range(STEPS_LEFT_OUT):
        pace.add(60.0)
    assert pace.eta_s(100) is None
    for seconds in (1.0, 3.0):
        pace.add(seconds)
    assert pace.eta_s(100) == pytest.approx(200.0)
