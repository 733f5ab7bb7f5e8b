"""Loss spikes: found in a recorded training where one was put, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.train.spikes import QUIET_STEPS, STEPS_BETWEEN, WINDOW, Spike, SpikeWatch

RECORDED: dict[str, list[float]] = json.loads(
    Path(__file__).with_name("recorded_losses.json").read_text()
)


def spikes(losses: list[float], *, num_warmup_steps: int = 0) -> list[Spike]:
    watch = SpikeWatch(num_warmup_steps=num_warmup_steps)
    looked = [watch.look(step, loss) for step, loss in enumerate(losses, start=1)]
    return [spike for spike in looked if spike is not None]


@pytest.mark.parametrize("stage", ["base", "mid"])
def test_the_noise_of_a_recorded_training_is_no_spike(stage: str) -> None:
    assert spikes(RECORDED[stage]) == []


@pytest.mark.parametrize("step", [QUIET_STEPS + 1, 200, 340])
def test_one_bad_batch_in_a_recorded_training_is_told_once_with_what_led_to_it(step: int) -> None:
    losses = [*RECORDED["base"]]
    losses[step - 1] *= 1.8
    found = spikes(losses)
    assert [spike.step for spike in found] == [step]
    assert found[0].before == tuple(losses[step - 1 - WINDOW : step - 1])
    assert found[0].level == pytest.approx(RECORDED["base"][step - 2], rel=0.1)


def test_a_loss_that_stays_high_is_one_trouble_and_not_a_hundred() -> None:
    losses = [*RECORDED["base"][:200], *[9.0] * (STEPS_BETWEEN - 1)]
    assert [spike.step for spike in spikes(losses)] == [201]


@pytest.mark.parametrize("cut", [30, 150, 199, 200, 201, 260, 320])
def test_a_watch_that_goes_on_from_what_was_kept_tells_the_same(cut: int) -> None:
    losses = [*RECORDED["base"]]
    # The second is too near to the first to be told again; the third is not.
    for step in (200, 280, 320):
        losses[step - 1] *= 1.8
    first = SpikeWatch()
    told = [first.look(step, loss) for step, loss in enumerate(losses[:cut], start=1)]
    rest = SpikeWatch(first.state)
    told += [rest.look(step, loss) for step, loss in enumerate(losses[cut:], start=cut + 1)]
    assert [spike for spike in told if spike is not None] == spikes(losses)
    assert [spike.step for spike in spikes(losses)] == [200, 320]


def test_nothing_stands_out_in_the_warm_up() -> None:
    losses = [*RECORDED["base"]]
    losses[199] *= 1.8
    assert spikes(losses, num_warmup_steps=100) == []
