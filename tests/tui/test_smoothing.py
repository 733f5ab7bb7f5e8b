"""The moving average against the loop that defines it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.charts.smoothing import ema, smoothing_beta


def by_the_book(values: list[float], beta: float) -> list[float]:
    """Return the debiased average with one step of Python per value."""
    total = weight = 0.0
    means = []
    for value in values:
        known = math.isfinite(value)
        total = beta * total + (value if known else 0.0)
        weight = beta * weight + (1.0 if known else 0.0)
        means.append(total / weight if weight else math.nan)
    return means


@given(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan), st.just(math.inf)), max_size=400),
    st.floats(0.5, 0.999),
)
@settings(deadline=None)
def test_the_average_equals_the_loop_that_defines_it(values: list[float], beta: float) -> None:
    expected = np.array(by_the_book(values, beta), dtype=np.float64)
    actual = ema(np.array(values, dtype=np.float64), beta)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


def test_a_constant_curve_stays_where_it_is_from_the_first_step() -> None:
    assert ema(np.full(300, 2.5), 0.99) == pytest.approx(np.full(300, 2.5))


def test_longer_curves_are_smoothed_over_more_steps_up_to_a_limit() -> None:
    assert smoothing_beta(100) < smoothing_beta(10_000) < smoothing_beta(10**6)
    assert smoothing_beta(10**6) == smoothing_beta(10**7)
