"""The optimizer against torch's AdamW and against what orthogonalisation promises."""

from __future__ import annotations

import weakref
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from core.config import ChatTrainConfig
from core.loss import summed_loss
from core.model import GPT
from core.optim.groups import StepRates
from core.optim.muon_adamw import MuonAdamW
from core.optim.polar_express import orthogonalize
from core.ranks import alone
from core.schedule import lr_multiplier, muon_momentum, steps_for_ratio, weight_decay_multiplier
from tests.core.builders import tiny_config

CPU = alone(torch.device("cpu"))
RATES = StepRates(lr_multiplier=1.0, momentum=0.9, weight_decay=0.0)


def build(seed: int = 0) -> GPT:
    model = GPT(tiny_config())
    model.init_weights(torch.Generator().manual_seed(seed))
    return model


def backward(model: GPT, seed: int) -> None:
    idx = torch.randint(0, 300, (2, 33), generator=torch.Generator().manual_seed(seed))
    (summed_loss(model, *model.embed(idx[:, :-1]), idx[:, 1:]) / 64).backward()


def update(optimizer: MuonAdamW, rates: StepRates = RATES) -> Tensor:
    """Make one step of the gradients that are there; return their norm."""
    norm = optimizer.reduce()
    optimizer.step(rates)
    return norm


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 64, 16), (2, 16, 64)])
def test_orthogonalised_matrices_have_equal_singular_values(shape: tuple[int, int, int]) -> None:
    u = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(u, 5))
    assert values.min() > 0.6
    assert values.max() < 1.4


def test_adamw_agrees_with_torch() -> None:
    model, twin = build(), build()
    ours = MuonAdamW(model, ChatTrainConfig(), CPU, tokens_per_step=2**19)
    theirs = torch.optim.AdamW(
        [twin.wte.weight],
        lr=0.3 * (32 / 768) ** -0.5,
        betas=(0.8, 0.995),
        eps=1e-10,
        weight_decay=0.001,
    )
    for seed in range(3):
        backward(model, seed)
        twin.wte.weight.grad = None if model.wte.weight.grad is None else model.wte.weight.grad + 0
        update(ours)
        theirs.step()
        ours.zero_grad()
    assert torch.allclose(model.wte.weight, twin.wte.weight, rtol=1e-5, atol=1e-6)


def test_every_parameter_is_moved() -> None:
    model = build()
    optimizer = MuonAdamW(model, ChatTrainConfig(), CPU, tokens_per_step=2**14)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for seed in range(3):
        backward(model, seed)
        update(optimizer)
        optimizer.zero_grad()
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert still == []


def test_rounding_noise_does_not_move_the_residual_scalars() -> None:
    # At initialisation their true gradients are zero: what comes back is rounding.
    model, fresh = build(), build()
    backward(model, 0)
    update(MuonAdamW(model, ChatTrainConfig(), CPU, tokens_per_step=2**19))
    for name in ("resid_lambdas", "x0_lambdas"):
        moved = dict(model.named_parameters())[name] - dict(fresh.named_parameters())[name]
        assert moved.abs().max() < 0.01


def test_weight_decay_shrinks_only_where_update_and_weight_agree() -> None:
    plain, decayed = build(), build()
    for model, decay in ((plain, 0.0), (decayed, 0.5)):
        backward(model, 0)
        rates = StepRates(lr_multiplier=1.0, momentum=0.9, weight_decay=decay)
        update(MuonAdamW(model, ChatTrainConfig(), CPU, tokens_per_step=2**19), rates)
    name = "blocks.0.mlp.fc.weight"
    start = dict(build().named_parameters())[name]
    a, b = dict(plain.named_parameters())[name], dict(decayed.named_parameters())[name]
    is_agreed = (start - a) * start >= 0
    assert torch.equal(a[~is_agreed], b[~is_agreed])
    assert (b[is_agreed].abs() <= a[is_agreed].abs() + 1e-7).float().mean() > 0.95


def test_state_round_trips_by_parameter_name() -> None:
    first, second = build(), build()
    one = MuonAdamW(first, ChatTrainConfig(), CPU, tokens_per_step=2**14)
    other = MuonAdamW(second, ChatTrainConfig(), CPU, tokens_per_step=2**14)
    backward(first, 0)
    update(one)
    one.zero_grad()
    second.load_state_dict(first.state_dict())
    state = one.gathered_state()
    assert state is not None
    other.load_state({key: tensor.clone() for key, tensor in state.items()}, 1)
    for model, optimizer in ((first, one), (second, other)):
        backward(model, 1)
        update(optimizer)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_learning_rate_rises_stays_and_falls() -> None:
    shape = {"warmup_ratio": 0.1, "warmdown_ratio": 0.5, "final_frac": 0.1}
    values = [lr_multiplier(step, 100, **shape) for step in range(100)]
    assert values[0] == pytest.approx(0.1)
    assert values[9:51] == [1.0] * 42
    assert values[75] == pytest.approx(0.5 + 0.5 * 0.1)
    assert values[51:] == sorted(values[51:], reverse=True)


@pytest.mark.parametrize("total", [20, 400, 600, 5000])
def test_momentum_never_jumps_whatever_the_length_of_the_run(total: int) -> None:
    values = [muon_momentum(step, total, warmdown_ratio=0.65) for step in range(total)]
    largest = max(abs(b - a) for a, b in pairwise(values))
    assert largest <= 0.12 / min(400, 0.25 * total) + 1e-9
    assert max(values) == pytest.approx(0.97, abs=1e-3)


def test_horizon_and_decay_follow_their_formulas() -> None:
    assert steps_for_ratio(12, 110_100_912, 524_288) == 2520
    assert steps_for_ratio(0.001, 100, 4096) == 1
    assert weight_decay_multiplier(0, 10) == 1
    assert weight_decay_multiplier(5, 10) == pytest.approx(0.5)


def test_a_step_leaves_no_gradient_in_memory_beside_those_of_the_next() -> None:
    model = build()
    optimizer = MuonAdamW(model, ChatTrainConfig(), CPU, tokens_per_step=2**19)
    backward(model, 0)
    gradients = [weakref.ref(p.grad) for p in model.parameters() if p.grad is not None]
    update(optimizer)
    optimizer.zero_grad()
    assert [ref for ref in gradients if ref() is not None] == []
