"""Training in float16: what the loss scale does, and that a run with it resumes bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core import checkpoint
from core.model import GPT
from core.stages import base
from core.stages.context import Input
from core.train import loop
from core.train.precision import (
    FIRST_SCALE,
    GROWTH_INTERVAL,
    LARGEST_SCALE,
    MANY_SKIPPED,
    Scaler,
    ScalerState,
    overflow_alert,
    scaler_for,
)
from runs.errors import StageFailed
from runs.events import Step
from tests.core.builders import base_config, context, make_world
from tests.core.test_training import run_process


def test_only_float16_has_a_scale() -> None:
    assert isinstance(scaler_for(torch.float16), Scaler)
    assert scaler_for(torch.bfloat16) is None and scaler_for(torch.float32) is None


def test_a_gradient_too_small_for_float16_survives_and_comes_back_exactly() -> None:
    tiny = torch.tensor(2.0**-30)
    weight = torch.ones((), requires_grad=True)

    def gradient(scale: float) -> torch.Tensor:
        scaler = Scaler(ScalerState(scale=scale))
        # What is between layers is float16; the weight and its gradient are not.
        scaled = scaler.scale((weight.half() * 1.0).float() * tiny)
        (found,) = torch.autograd.grad(scaled, weight)
        scaler.unscale([found])
        return found

    assert gradient(1.0) == 0
    assert gradient(FIRST_SCALE) == tiny


def test_an_overflow_halves_the_scale_and_is_counted() -> None:
    scaler = Scaler()
    scaler.update(is_finite=True)
    scaler.update(is_finite=False)
    scaler.update(is_finite=False)
    assert scaler.state == ScalerState(
        scale=FIRST_SCALE / 4, num_good=0, num_skipped=2, num_skipped_in_a_row=2
    )
    scaler.update(is_finite=True)
    assert (scaler.state.num_skipped, scaler.state.num_skipped_in_a_row) == (2, 0)


def test_the_scale_doubles_after_many_good_steps_up_to_a_limit() -> None:
    scaler = Scaler(ScalerState(scale=LARGEST_SCALE / 2))
    for _ in range(GROWTH_INTERVAL - 1):
        scaler.update(is_finite=True)
    assert scaler.state.scale == LARGEST_SCALE / 2
    for _ in range(1 + GROWTH_INTERVAL):
        scaler.update(is_finite=True)
    assert scaler.state.scale == LARGEST_SCALE


def test_an_overflow_without_any_scale_ends_the_training_in_one_line() -> None:
    scaler = Scaler(ScalerState(scale=1.0))
    with pytest.raises(StageFailed, match="overflow float16 at every loss scale"):
        scaler.update(is_finite=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make_world(root)
    return root


# At 2^24 the gradient of a logit is beyond the largest float16 number.
OVERFLOWING: dict[str, Any] = {"dtype": "float16", "first_scale": 2.0**24}


@pytest.fixture(scope="module")
def uninterrupted(world: Path) -> dict[int, float]:
    return run_process(world, name="whole", **OVERFLOWING)


def test_float16_with_overflows_resumes_bit_for_bit_after_a_kill(
    world: Path, uninterrupted: dict[int, float]
) -> None:
    first = run_process(world, name="killed", kill_after=6, **OVERFLOWING)
    rest = run_process(world, name="killed", **OVERFLOWING)
    assert min(rest) == 5
    assert {**first, **rest} == uninterrupted
    path = checkpoint.step_dir(world / "killed" / "checkpoints" / "base", 12)
    meta = checkpoint.read_meta(path)
    assert meta.scaler is not None and meta.scaler["num_skipped"] > 0
    assert meta.num_updates == 12 - meta.scaler["num_skipped"]


def test_float16_on_two_ranks_skips_the_steps_that_one_skips(world: Path) -> None:
    # One row at a time: what overflows is then the same, however the rows are shared out.
    alike = {**OVERFLOWING, "device_batch_size": 1, "save_every": 12}
    one = run_process(world, name="one", **alike)
    two = run_process(world, name="two", ranks=2, **alike)
    assert two == pytest.approx(one, rel=1e-3)
    scalers = [
        checkpoint.read_meta(checkpoint.step_dir(world / name / "checkpoints" / "base", 12)).scaler
        for name in ("one", "two")
    ]
    assert scalers[0] == scalers[1] is not None


def test_a_skipped_step_says_so_and_changes_neither_weights_nor_moments(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Far beyond what a scale ever grows to: at the start gradients are small.
    first = ScalerState(scale=2.0**40)
    monkeypatch.setattr(loop, "scaler_for", lambda dtype, state: scaler_for(dtype, first))
    inputs = {
        "corpus": Input(path=world / "data" / "corpus", sha256="c"),
        "tokenizer": Input(path=world / "tokenizer.json", sha256="t"),
    }
    config = base_config(dtype="float16", num_iterations=1, save_every=1, eval_every=1)
    events = list(base.run(config, context(tmp_path, inputs), stop=lambda: False, resume=None))
    (step,) = [event for event in events if isinstance(event, Step)]
    assert (step.metrics["skipped"], step.metrics["loss_scale"]) == (1.0, 2.0**39)
    assert "grad_norm" not in step.metrics
    path = checkpoint.step_dir(tmp_path / "checkpoints" / "base", 1)
    model = checkpoint.load_model(path, device=torch.device("cpu"), dtype=torch.float32)
    untouched = GPT(model.config)
    untouched.init_weights(torch.Generator().manual_seed(config.seed))
    for (name, weight), before in zip(
        model.named_parameters(), untouched.parameters(), strict=True
    ):
        assert torch.equal(weight, before), name
    moments = load_file(path / checkpoint.OPTIMIZER_FILE)
    assert not any(moments[name].any() for name in moments if name != checkpoint.RNG_KEY)


def test_many_overflows_in_a_row_raise_one_alert() -> None:
    scaler = Scaler(ScalerState(scale=LARGEST_SCALE))
    alerts = []
    for _ in range(MANY_SKIPPED + 2):
        scaler.update(is_finite=False)
        alerts += list(overflow_alert(scaler.state))
    assert [alert.code for alert in alerts] == ["float16-overflow"]
    assert list(overflow_alert(None)) == []
