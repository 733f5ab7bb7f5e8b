"""The whole optimizer: every parameter moved, by its rule, and state that round-trips."""

from __future__ import annotations

import weakref
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from core.loss import summed_loss
from core.model import GPT
from core.optim.groups import StepRates
from core.optim.muon_adamw import MuonAdamW
from core.ranks import alone
from core.schedule import (
    classic_momentum,
    lr_multiplier,
    muon_momentum,
    steps_for_ratio,
    weight_decay_multiplier,
)
from core.settings.training import ChatTrainConfig
from runs.errors import UsageError
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


@pytest.mark.parametrize(
    ("name", "rate", "betas", "decay"),
    [
        ("wte.weight", 0.3, (0.8, 0.995), 0.001),
        ("head.weight", 0.008, (0.8, 0.96), 0.01),
        ("value_embeds.1.weight", 0.15, (0.8, 0.995), 0.01),
    ],
)
def test_adamw_agrees_with_torch(
    name: str, rate: float, betas: tuple[float, float], decay: float
) -> None:
    # torch's plain loop, which has eps where we have it: added to the corrected root.
    model, twin = build(), build()
    parameter, other = dict(model.named_parameters())[name], dict(twin.named_parameters())[name]
    ours = MuonAdamW(model, ChatTrainConfig(), CPU, tokens_per_step=2**19)
    theirs = torch.optim.AdamW(
        [other],
        lr=rate * (32 / 768) ** -0.5,
        betas=betas,
        eps=1e-10,
        weight_decay=decay,
        foreach=False,
    )
    for seed in range(3):
        backward(model, seed)
        assert parameter.grad is not None
        other.grad = parameter.grad.clone()
        update(ours)
        theirs.step()
        ours.zero_grad()
    assert torch.allclose(parameter, other, rtol=1e-5, atol=1e-6)


def test_the_norm_is_that_of_the_whole_gradient_and_is_known_before_anything_moves() -> None:
    model = build()
    optimizer = MuonAdamW(model, ChatTrainConfig(), CPU, tokens_per_step=2**14)
    backward(model, 0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    norm = optimizer.reduce()
    expected = torch.nn.utils.get_total_norm(
        [p.grad for p in model.parameters() if p.grad is not None]
    )
    assert (norm.dtype, norm.shape) == (torch.float32, ())
    assert float(norm) == pytest.approx(float(expected), rel=1e-6)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_gradient_that_is_not_finite_shows_in_the_norm() -> None:
    model = build()
    optimizer = MuonAdamW(model, ChatTrainConfig(), CPU, tokens_per_step=2**14)
    for poison in (float("nan"), float("inf")):
        backward(model, 0)
        assert model.wte.weight.grad is not None
        model.wte.weight.grad[7, 3] = poison
        assert not torch.isfinite(optimizer.reduce())
        optimizer.zero_grad()


def test_clipping_leaves_the_direction_and_makes_the_norm_that_torch_makes() -> None:
    model, twin = build(), build()
    optimizer = MuonAdamW(model, ChatTrainConfig(grad_clip=0.05), CPU, tokens_per_step=2**14)
    for one in (model, twin):
        backward(one, 0)
    torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.05)
    assert float(update(optimizer)) > 0.05
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.allclose(a.grad, b.grad, rtol=1e-5)


def test_a_gradient_below_the_limit_is_not_clipped() -> None:
    model, twin = build(), build()
    for one, limit in ((model, 100.0), (twin, None)):
        backward(one, 0)
        config = ChatTrainConfig(grad_clip=limit)
        update(MuonAdamW(one, config, CPU, tokens_per_step=2**14))
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_classic_optimizer_refuses_a_weight_decay() -> None:
    with pytest.raises(UsageError, match="no weight decay"):
        ChatTrainConfig(optimizer="classic", weight_decay=0.1)


@pytest.mark.parametrize("threads", [2, 3])
def test_a_step_does_not_depend_on_the_number_of_threads_beyond_rounding(threads: int) -> None:
    weights = []
    before = torch.get_num_threads()
    try:
        for count in (1, threads):
            model = build()
            backward(model, 0)
            torch.set_num_threads(count)
            update(MuonAdamW(model, ChatTrainConfig(), CPU, tokens_per_step=2**14))
            weights.append([p.detach() for p in model.parameters()])
            torch.set_num_threads(1)
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*weights, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-6)


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


def test_classic_momentum_rises_in_300_steps_and_stays() -> None:
    assert [classic_momentum(step) for step in (0, 150, 300, 5000)] == pytest.approx(
        [0.85, 0.90, 0.95, 0.95]
    )
    assert classic_momentum(10, warmup_steps=20) == pytest.approx(0.90)


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
