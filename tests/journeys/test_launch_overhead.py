"""How long it takes from the command to the first worker."""

from __future__ import annotations

from labcli.bench.launch import measure_launch


def test_launches_are_timed_from_the_command_to_the_worker() -> None:
    times = measure_launch(2)
    assert times.num == 2
    assert 0 < times.median_s <= times.max_s
