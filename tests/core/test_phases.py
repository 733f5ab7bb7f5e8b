"""Phases of a step: what is counted, when it is told, and that nothing waits for a device."""

from __future__ import annotations

import pytest
import torch

from core.train.phases import Phases, phase_metrics, phases_on


class SteppedClock:
    """Marks are 1, 2, 3 ...; those beyond `reached` are still to come, as on a device."""

    def __init__(self) -> None:
        self.now = 0
        self.reached = 0

    def mark(self) -> int:
        self.now += 1
        return self.now

    def seconds(self, begin: int, end: int) -> float | None:
        return float(end - begin) if end <= self.reached else None


def test_a_phase_that_comes_several_times_adds_up_until_it_is_taken() -> None:
    clock = SteppedClock()
    phases = Phases(clock)
    for name in ("data", "forward-backward", "data"):
        with phases(name):
            pass
    clock.reached = clock.now
    assert phases.take() == {"data": 2.0, "forward-backward": 1.0}
    assert phases.take() == {}


def test_what_the_device_has_not_done_yet_is_told_the_next_time_and_only_once() -> None:
    clock = SteppedClock()
    phases = Phases(clock)
    for _ in range(2):
        with phases("optimizer"):
            pass
    clock.reached = 2
    assert phases.take() == {"optimizer": 1.0}
    clock.reached = 4
    assert phases.take() == {"optimizer": 1.0}
    assert phases.take() == {}


def test_the_time_of_a_block_that_raises_is_counted() -> None:
    phases = phases_on(torch.device("cpu"))
    with pytest.raises(KeyError), phases("eval"):
        raise KeyError
    assert phases.take()["eval"] >= 0


def test_metrics_are_named_after_the_phase_with_its_unit() -> None:
    assert phase_metrics({"forward-backward": 0.25}) == {"time_forward_backward_s": 0.25}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: times of a CUDA stream")
def test_a_cuda_stream_tells_the_time_of_its_own_work() -> None:
    device = torch.device("cuda")
    phases = phases_on(device)
    with phases("forward-backward"):
        torch.cuda._sleep(10_000_000)
    torch.cuda.synchronize()
    assert phases.take()["forward-backward"] > 1e-3
