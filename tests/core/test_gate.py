"""A step that is left out on the device alone: not a bit changes, and the next one is as ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core import checkpoint
from core.loss import LossFn, summed_loss
from core.model import GPT
from core.optim.groups import StepRates
from core.optim.muon_adamw import MuonAdamW
from core.ranks import alone
from core.settings.training import ChatTrainConfig
from core.stages import base
from core.stages.context import Input
from core.train import loop
from core.train.step import Flags, Stepper
from runs.errors import StageFailed
from runs.events import Checkpoint, Event, Step
from tests.core.builders import base_config, context, make_world, tiny_config
from tests.core.test_optim import backward

CPU = alone(torch.device("cpu"))
RATES = StepRates(lr_multiplier=1.0, momentum=0.9, weight_decay=0.3)
YES, NO = torch.tensor(True), torch.tensor(False)
SETTINGS: list[dict[str, Any]] = [{}, {"grad_clip": 0.05}, {"optimizer": "classic"}]


class Learner:
    """A model, its optimizer, and every bit of both."""

    def __init__(self, **settings: Any) -> None:
        self.model = GPT(tiny_config())
        self.model.init_weights(torch.Generator().manual_seed(0))
        config = ChatTrainConfig(**settings)
        self.optimizer = MuonAdamW(self.model, config, CPU, tokens_per_step=2**14)

    def step(self, seed: int, is_left_out: Tensor | None = None, poison: float = 0.0) -> None:
        backward(self.model, seed)
        for parameter in self.model.parameters():
            if poison and parameter.grad is not None:
                parameter.grad.flatten()[0] = poison
        self.optimizer.reduce()
        self.optimizer.step(RATES, is_left_out)
        self.optimizer.zero_grad()

    def bits(self) -> dict[str, list[int]]:
        return bits_of(self.model, self.optimizer)


def bits_of(model: GPT, optimizer: MuonAdamW) -> dict[str, list[int]]:
    """Return weights and moments as whole numbers, which tell -0 from 0."""
    moments = optimizer.gathered_state()
    assert moments is not None
    tensors = {**dict(model.named_parameters()), **moments}
    return {key: one.detach().view(torch.int32).flatten().tolist() for key, one in tensors.items()}


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("num_before", [0, 3])
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_a_step_that_is_left_out_changes_no_bit_and_is_not_counted(
    settings: dict[str, Any], num_before: int, poison: float
) -> None:
    spoilt, spared = Learner(**settings), Learner(**settings)
    for seed in range(num_before):
        spoilt.step(seed, NO)
        spared.step(seed)
    before = spoilt.bits()
    spoilt.step(99, YES, poison)
    assert spoilt.bits() == before
    # What AdamW divides by depends on how many steps there were.
    for seed in (7, 8):
        spoilt.step(seed, NO)
        spared.step(seed)
    assert spoilt.bits() == spared.bits() != before


def breaking_at(step: int) -> LossFn:
    """Return a loss that is no number in the one micro-batch of a step, counted from 1."""
    calls = iter(range(1, 100))

    def loss(*args: Any) -> Tensor:
        return summed_loss(*args) * (float("nan") if next(calls) == step else 1.0)

    return loss


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Input]:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("broken", [5, 6, 12])
def test_nothing_of_a_step_launched_after_a_bad_one_is_kept_told_or_saved(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch, broken: int
) -> None:
    held: list[dict[str, list[int]]] = []
    launch = Stepper.launch

    def watched(self: Stepper, step: int, first_row: int, own: Flags) -> Any:
        launched = launch(self, step, first_row, own)
        held.append(bits_of(self.model, self.optimizer))
        return launched

    monkeypatch.setattr(loop, "runs_ahead", lambda device: True)
    monkeypatch.setattr(Stepper, "launch", watched)
    monkeypatch.setattr(loop, "compiled_loss", lambda *args: (breaking_at(broken), "eager"))
    config = base_config(total_batch_size=64, save_every=2, eval_every=None, sample_every=None)
    told: list[Event] = []
    ctx = context(tmp_path, inputs)
    with pytest.raises(StageFailed, match=f"at step {broken}"):
        for event in base.run(config, ctx, stop=lambda: False, resume=None):
            told.append(event)
    # Before an even step is saved its numbers are waited for; after an odd one the next is on
    # its way, and finds and leaves the model of which the bad numbers came.
    assert len(held) == (6 if broken == 5 else broken)
    assert held[broken - 2] != held[broken - 3]
    assert all(bits == held[broken - 2] for bits in held[broken - 1 :])
    assert [event.step for event in told if isinstance(event, Step)] == [*range(1, broken)]
    saved = [event.step for event in told if isinstance(event, Checkpoint)]
    assert saved == [*range(2, broken, 2)]
    assert max(checkpoint.committed_steps(ctx.checkpoints_dir)) == saved[-1]
