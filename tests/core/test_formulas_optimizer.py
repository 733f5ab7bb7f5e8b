"""The optimizer's update and its schedules, each against nanochat's own rule step by step.

What is proven where:

groups: rates, betas, decay ......... here (a d12, and through an update), test_scaling_laws (d20)
AdamW ............................... here (in float64), test_optim (against torch)
Muon: momentum, MuonEq, Polar
  Express, Muon+, NorMuon, cautious
  decay, rate of tall matrices ...... here (in float64), test_optim (singular values, mask)
classic: Newton-Schulz, one beta .... here (in float64)
sums over ranks, sharded state ...... test_optim_ranks, tests/journeys
momentum, classic ................... here
learning rate, current .............. here (every step), test_schedule (a d12)
learning rate, classic .............. test_schedule
warm-up scaled to short runs ........ here, test_schedule
momentum, current ................... here (every step), test_schedule (a d12)
momentum in short runs .............. here, test_schedule
decay, half a cosine ................ here (every step), test_schedule
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from core.loss import summed_loss
from core.model import GPT
from core.optim import groups
from core.optim.groups import StepRates, adam_groups, matrix_groups
from core.optim.muon_adamw import MuonAdamW
from core.ranks import alone
from core.scaling import model_config
from core.scaling_laws import WARMUP_STEPS, warmup_share
from core.schedule import (
    classic_momentum,
    lr_multiplier,
    muon_momentum,
    weight_decay_multiplier,
)
from core.settings.setting import Arch
from core.settings.training import BaseConfig, ChatTrainConfig
from tests.core.builders import tiny_config
from tests.core.naive_optimizer import NaiveAdamW, NaiveMuon
from tests.core.published import published_rate

# Horizons of a d8, d12, d20 and d32 at 12 tokens per parameter.
HORIZONS = (1920, 2520, 4980, 9600)


def published_momentum(step: int, total: int) -> float:
    """Return nanochat's momentum: 400 steps up, whatever the length of the run."""
    down = round(0.65 * total)
    if step < 400:
        return 0.85 + (0.97 - 0.85) * step / 400
    if step >= total - down:
        return 0.97 + (0.90 - 0.97) * (step - (total - down)) / down
    return 0.97


def rate(step: int, total: int, *, warmup_ratio: float) -> float:
    return lr_multiplier(
        step, total, warmup_ratio=warmup_ratio, warmdown_ratio=0.65, final_frac=0.05
    )


def momentum(step: int, total: int) -> float:
    return muon_momentum(step, total, warmdown_ratio=0.65)


@pytest.mark.parametrize("total", [200, 528, 1062, *HORIZONS])
def test_rate_with_forty_steps_of_warm_up_is_the_published_one_in_runs_of_any_length(
    total: int,
) -> None:
    for step in range(total):
        ours = rate(step, total, warmup_ratio=40 / total)
        assert ours == pytest.approx(published_rate(step, total)), step


@pytest.mark.parametrize("total", HORIZONS)
def test_the_law_keeps_the_published_warm_up_from_800_steps_on(total: int) -> None:
    assert [rate(step, total, warmup_ratio=warmup_share(total)) for step in (0, 19, 39, 40)] == [
        pytest.approx(value) for value in (0.025, 0.5, 1.0, 1.0)
    ]


@pytest.mark.parametrize("total", [20, 100, 360, 799])
def test_the_law_gives_a_twentieth_of_a_shorter_run_to_its_warm_up(total: int) -> None:
    share = warmup_share(total)
    assert share == 0.05
    rising = [step for step in range(total) if rate(step, total, warmup_ratio=share) < 1][:41]
    warmup = round(0.05 * total)
    assert warmup <= WARMUP_STEPS
    # The last step of the rise has the whole rate already.
    assert rising[: warmup - 1] == list(range(warmup - 1))
    assert rate(warmup - 1, total, warmup_ratio=share) == 1.0


def test_rate_at_named_steps_of_a_d12() -> None:
    # 2,520 steps: down from step 882 on, over 1,638.
    share = warmup_share(2520)
    named = {0: 1 / 40, 39: 1.0, 882: 1.0, 882 + 819: 0.525, 2519: 0.05 + 0.95 / 1638}
    for step, expected in named.items():
        assert rate(step, 2520, warmup_ratio=share) == pytest.approx(expected)


@pytest.mark.parametrize("total", HORIZONS)
def test_momentum_is_the_published_one_in_runs_of_1600_steps_and_more(total: int) -> None:
    for step in range(total):
        assert momentum(step, total) == pytest.approx(published_momentum(step, total)), step


@pytest.mark.parametrize("total", [100, 528, 1062])
def test_momentum_with_a_given_warm_up_of_400_steps_is_the_published_one_with_its_jump(
    total: int,
) -> None:
    for step in range(total):
        ours = muon_momentum(step, total, warmdown_ratio=0.65, warmup_steps=400)
        assert ours == pytest.approx(published_momentum(step, total)), step


@pytest.mark.parametrize("warmdown_ratio", [0.2, 0.65, 0.8, 1.0])
@pytest.mark.parametrize("total", [20, 100, 360, 2520])
def test_momentum_never_moves_faster_than_it_rises_whatever_the_warm_down(
    total: int, warmdown_ratio: float
) -> None:
    ours = [muon_momentum(step, total, warmdown_ratio=warmdown_ratio) for step in range(total)]
    rise = 0.12 / min(400, 0.25 * total)
    assert max(abs(after - before) for before, after in pairwise(ours)) <= rise * (1 + 1e-9)


@pytest.mark.parametrize("total", [20, 100, 360])
def test_momentum_of_a_run_below_400_steps_reaches_the_peak_that_nanochats_does_not(
    total: int,
) -> None:
    assert max(published_momentum(step, total) for step in range(total)) < 0.9581
    assert max(momentum(step, total) for step in range(total)) == pytest.approx(0.97, abs=1e-9)
    assert momentum(0, total) == 0.85


@pytest.mark.parametrize(("total", "jump"), [(528, 0.04358), (800, 0.01585), (1000, 0.00508)])
def test_momentum_does_not_jump_at_step_400_of_a_run_below_1143(total: int, jump: float) -> None:
    there = published_momentum(399, total) - published_momentum(400, total)
    assert there == pytest.approx(jump, abs=1e-5)
    ours = [momentum(step, total) for step in range(total)]
    steepest = max(abs(after - before) for before, after in pairwise(ours))
    # One step of the rise: the whole of it over a quarter of the run.
    assert steepest == pytest.approx(0.12 / (0.25 * total), rel=1e-6)
    assert max(ours) == pytest.approx(0.97)


@pytest.mark.parametrize("total", [100, 2520])
def test_decay_is_half_a_cosine_of_the_share_of_the_run(total: int) -> None:
    for step in range(total):
        expected = 0.28 * (1 + math.cos(math.pi * step / total)) / 2
        assert 0.28 * weight_decay_multiplier(step, total) == pytest.approx(expected)
    assert weight_decay_multiplier(total, total) == 0


def test_decay_at_named_shares_of_a_d12() -> None:
    named = {0: 0.28, 630: 0.28 * 0.853553, 1260: 0.14, 1890: 0.28 * 0.146447}
    for step, expected in named.items():
        assert 0.28 * weight_decay_multiplier(step, 2520) == pytest.approx(expected, rel=1e-5)


# Prefix of the names, then rate at the reference batch and width, betas and decay.
PUBLISHED_GROUPS: tuple[tuple[str, float, tuple[float, float], float], ...] = (
    ("head.", 0.008, (0.8, 0.96), 0.01),
    ("wte.", 0.3, (0.8, 0.995), 0.001),
    ("value_embeds.", 0.15, (0.8, 0.995), 0.01),
    ("resid_lambdas", 0.005, (0.8, 0.95), 0.05),
    ("x0_lambdas", 0.5, (0.96, 0.95), 0.0),
    ("smear_", 0.2, (0.8, 0.95), 0.0),
    ("backout_", 0.2, (0.8, 0.95), 0.0),
)
BATCH = 2**19
WIDTH = 32


def stirred() -> GPT:
    """Return a small model no part of which is zero, with shared key heads and odd shapes."""
    model = GPT(tiny_config(num_layers=3, n_embd=WIDTH, num_kv_heads=1))
    generator = torch.Generator().manual_seed(0)
    model.init_weights(generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def naive_rules(model: GPT, *, is_classic: bool) -> dict[str, NaiveAdamW | NaiveMuon]:
    """Return the published rule of every parameter, by its name."""
    rules: dict[str, NaiveAdamW | NaiveMuon] = {}
    for name, _ in model.named_parameters():
        if name.startswith("blocks."):
            rules[name] = NaiveMuon(lr=0.02, is_classic=is_classic)
            continue
        _, lr, betas, decay = next(row for row in PUBLISHED_GROUPS if name.startswith(row[0]))
        # Tables and head alone are scaled by the width.
        width = (WIDTH / 768) ** -0.5 if "." in name and not name.startswith("smear") else 1.0
        betas, decay = ((0.8, 0.95), 0.0) if is_classic else (betas, decay)
        rules[name] = NaiveAdamW(lr=lr * width, betas=betas, weight_decay=decay)
    return rules


@pytest.mark.parametrize("variant", ["current", "classic"])
def test_every_parameter_moves_as_the_formulas_say(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ours is larger for the scalars, whose first gradients are rounding noise.
    monkeypatch.setattr(groups, "SCALAR_EPS", 1e-10)
    is_classic = variant == "classic"
    model = stirred()
    config = ChatTrainConfig(optimizer="classic" if is_classic else "current")
    optimizer = MuonAdamW(model, config, alone(torch.device("cpu")), tokens_per_step=BATCH)
    rules = naive_rules(model, is_classic=is_classic)
    naive = {name: p.detach().double().numpy().copy() for name, p in model.named_parameters()}
    begun = {name: value.copy() for name, value in naive.items()}
    wd = 0.0 if is_classic else 0.3
    for t, (lrm, mu) in enumerate([(0.5, 0.85), (1.0, 0.9), (0.7, 0.97)], start=1):
        idx = torch.randint(0, 300, (2, 33), generator=torch.Generator().manual_seed(t))
        optimizer.zero_grad()
        (summed_loss(model, *model.embed(idx[:, :-1]), idx[:, 1:]) / 64).backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            g, rule = parameter.grad.double().numpy().copy(), rules[name]
            if isinstance(rule, NaiveMuon):
                naive[name] = rule.step(naive[name], g, lrm=lrm, mu=mu, wd=wd)
            else:
                naive[name] = rule.step(naive[name], g, t, lrm)
        optimizer.reduce()
        optimizer.step(StepRates(lr_multiplier=lrm, momentum=mu, weight_decay=wd))
    for name, parameter in model.named_parameters():
        moved = float(np.linalg.norm(naive[name] - begun[name]))
        error = float(np.linalg.norm(parameter.detach().double().numpy() - naive[name]))
        assert moved > 0 and error / moved < 1e-3, (name, error / moved)


@pytest.mark.parametrize(("arch", "is_whole"), [("current", True), ("classic", False)])
def test_groups_of_a_d12_have_the_published_settings(arch: Arch, is_whole: bool) -> None:
    base = BaseConfig(arch=arch, depth=12, head_dim=128, sequence_len=2048, num_iterations=1)
    config = BaseConfig(num_iterations=1, optimizer=arch)
    with torch.device("meta"):
        model = GPT(model_config(base, 32_768))
    found = {group.names[0]: group for group in adam_groups(
        model, config, lr_scale=1.0, tokens_per_step=BATCH
    )}  # fmt: skip
    expected = [row for row in PUBLISHED_GROUPS if is_whole or row[0] in ("head.", "wte.")]
    assert len(found) == len(expected)
    for prefix, lr, betas, decay in expected:
        group = next(group for name, group in found.items() if name.startswith(prefix))
        assert group.lr == pytest.approx(lr)
        assert group.betas == (betas if is_whole else (0.8, 0.95))
        assert group.weight_decay == (decay if is_whole else 0.0)
    matrices = matrix_groups(model, config, lr_scale=1.0, tokens_per_step=BATCH)
    shapes = {
        tuple(model.get_parameter(group.names[0]).shape): (len(group.names), group.lr)
        for group in matrices
    }
    # 4 L squares, L matrices into and out of the MLP, the first of them tall, and the gates.
    squares = {(768, 768): (48, 0.02), (3072, 768): (12, 0.04), (768, 3072): (12, 0.02)}
    assert shapes == (squares | {(6, 12): (6, 0.02)} if is_whole else squares)


def test_classic_momentum_rises_over_300_steps_and_stays() -> None:
    named = {0: 0.85, 150: 0.90, 300: 0.95, 301: 0.95, 20_000: 0.95}
    for step, expected in named.items():
        assert classic_momentum(step) == pytest.approx(expected)
