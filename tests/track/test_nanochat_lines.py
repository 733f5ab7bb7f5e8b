"""The lines of nanochat's scripts, old and new, as events in our names and units."""

from __future__ import annotations

import pytest

from runs.events import Eval, Step
from runs.importers.nanochat import parse_line, parse_lines


def test_step_line_of_base_training() -> None:
    event = parse_line(
        "step 00010/21400 (0.05%) | loss: 10.123456 | grad norm: 0.2500 | lrm: 1.00 | dt: 1250.00ms"
        " | tok/sec: 424,000 | bf16_mfu: 41.23 | epoch: 1 pq: 3 rg: 12 | total time: 2.50m"
        " | eta: 340.0m"
    )
    assert isinstance(event, Step)
    assert (event.step, event.total_steps) == (10, 21400)
    assert event.metrics == {
        "loss": 10.123456, "grad_norm": 0.25, "lrm": 1.0, "dt_s": 1.25, "tok_per_sec": 424_000.0,
        "mfu": pytest.approx(0.4123), "epoch": 1.0, "train_s": 150.0,
    }  # fmt: skip


def test_step_line_without_a_total() -> None:
    event = parse_line("step 00007 (1.20%) | loss: nan | dt: 3.5s | mfu: 12.5%")
    assert isinstance(event, Step) and event.total_steps is None
    assert str(event.metrics["loss"]) == "nan" and event.metrics["dt_s"] == 3.5
    assert event.metrics["mfu"] == 0.125


def test_evaluation_and_reward_lines() -> None:
    assert parse_line("Step 00250 | Validation bpb: 0.9987") == Eval(step=250, val_bpb=0.9987)
    core = parse_line("Step 02000 | CORE metric: 0.2097")
    assert isinstance(core, Step) and core.metrics == {"core_metric": 0.2097}
    old = parse_line("Step 00010/00700 | Training loss: 1.234567| lrm: 0.5| num_tokens: 12,345")
    assert isinstance(old, Step)
    assert old.metrics == {"loss": 1.234567, "lrm": 0.5, "num_tokens": 12345.0}
    reward = parse_line("Step 10/467 | Average reward: 0.5 | Average sequence length: 120.00")
    assert isinstance(reward, Step)
    assert reward.metrics == {"reward": 0.5, "sequence_length": 120.0}


@pytest.mark.parametrize(
    "line", ["", "stepping out | x: 1", "step 5", "step 5/9 | done", "loss: 3", "step x | loss: 1"]
)
def test_other_lines_are_no_events(line: str) -> None:
    assert parse_line(line) is None


def test_line_that_is_rewritten_in_place_is_read_every_time() -> None:
    lines = iter(["\x1b[32mstep 1 | loss: 2.0\rstep 2 | loss: 1.5   \n"])
    assert [event.step for event in parse_lines(lines) if isinstance(event, Step)] == [1, 2]
