"""How long it takes from the command to the first worker."""

from __future__ import annotations

from labcli.bench.launch import measure_launch

BUDGET_S = 0.3


def test_worker_starts_within_three_tenths_of_a_second_of_its_command() -> None:
    times = measure_launch(2)
    assert times.num == 2
    assert times.median_s <= BUDGET_S
