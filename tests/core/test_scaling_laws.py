"""The laws of batch, rate, decay and horizon, against nanochat's table and in tiny models."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from core.model import GPT
from core.optim.groups import adam_groups
from core.scaling import flops_per_token, model_config
from core.scaling_laws import (
    MAX_WEIGHT_DECAY,
    batch_for_steps,
    batch_tokens,
    horizon_steps,
    rate_factor,
    reference_tokens,
    weight_decay,
    with_laws,
)
from core.settings.training import BaseConfig

VOCAB = 32_768


def base(depth: int, **settings: Any) -> BaseConfig:
    values: dict[str, Any] = {
        "depth": depth, "head_dim": 128, "sequence_len": 2048, "window_pattern": "SSSL",
        "total_batch_size": 1,
    }  # fmt: skip
    if not {"num_iterations", "target_flops", "target_param_data_ratio"} & settings.keys():
        values["target_param_data_ratio"] = 12.0
    return BaseConfig(**{**values, **settings})


def resolved(config: BaseConfig, *names: str) -> BaseConfig:
    """Return the settings with the laws' numbers for some of them."""
    told = with_laws(dict.fromkeys(names, "auto"), config, VOCAB)
    fields = {name: getattr(config, name) for name in BaseConfig.__dataclass_fields__}
    return BaseConfig(**{**fields, **told})


@pytest.mark.parametrize(
    ("depth", "batch", "steps", "factor", "law"),
    [
        (4, 262_144, 528, 0.707, 1.890),
        (6, 262_144, 1062, 0.707, 0.940),
        (8, 262_144, 1920, 0.707, 0.520),
        (12, 524_288, 2520, 1.0, 0.280),
        (16, 524_288, 5376, 1.0, 0.131),
        (20, 1_048_576, 4980, 1.414, 0.100),
        (24, 1_048_576, 8352, 1.414, 0.0597),
        (26, 1_048_576, 10_510, 1.414, 0.0475),
        (32, 2_097_152, 9600, 2.0, 0.0368),
    ],
)
def test_depth_alone_gives_the_published_batch_horizon_rate_and_decay(
    depth: int, batch: int, steps: int, factor: float, law: float
) -> None:
    config = resolved(base(depth), "total_batch_size", "weight_decay")
    assert config.total_batch_size == batch
    assert horizon_steps(config, model_config(config, VOCAB)) == steps
    assert rate_factor(batch) == pytest.approx(factor, abs=5e-4)
    # Half a unit of the last digit that was published.
    assert config.weight_decay == pytest.approx(min(law, MAX_WEIGHT_DECAY), rel=0.004)


@pytest.mark.parametrize(
    ("depths", "exponent"), [([8], 18), ([10, 12, 14, 16], 19), ([18, 26], 20), ([32, 34], 21)]
)
def test_batch_is_a_power_of_two_that_grows_with_depth(depths: list[int], exponent: int) -> None:
    for depth in depths:
        assert resolved(base(depth), "total_batch_size").total_batch_size == 2**exponent


def test_decay_of_a_d4_stays_below_what_a_step_can_rebuild() -> None:
    reference = reference_tokens(base(4), VOCAB)
    # The law without its limit: 1.89 at d4, a shrinkage of 2.7 percent a step, and of twice that
    # in the output matrices of the MLP, whose rate is sqrt(4) higher.
    batch, tokens = 2**18, 12 * 11_534_384
    law = 0.28 * rate_factor(batch) * reference / tokens
    assert law == pytest.approx(1.890, abs=0.001)
    rate = 0.02 * rate_factor(batch)
    assert [rate * law, 2 * rate * law] == pytest.approx([0.027, 0.053], abs=0.0005)
    assert 2 * rate * weight_decay(batch, tokens, reference) < 0.015


def test_decay_forgets_over_the_same_share_of_every_run() -> None:
    shares = []
    for depth in (8, 12, 20, 32):
        config = resolved(base(depth), "total_batch_size", "weight_decay")
        steps = horizon_steps(config, model_config(config, VOCAB))
        rate = config.matrix_lr * rate_factor(config.total_batch_size)
        shares.append(1 / (rate * config.weight_decay * steps))
    assert max(shares) / min(shares) == pytest.approx(1, abs=0.01)


def test_a_horizon_in_steps_counts_as_the_tokens_that_it_really_reads() -> None:
    # nanochat took the ratio's horizon for the laws even where the steps were set by hand.
    whole = resolved(base(12), "total_batch_size", "weight_decay")
    by_steps = base(12, num_iterations=2520)
    same = resolved(by_steps, "total_batch_size", "weight_decay")
    assert same.total_batch_size == whole.total_batch_size == 2**19
    assert same.weight_decay == pytest.approx(whole.weight_decay, rel=1e-3)
    short = resolved(base(12, num_iterations=200), "total_batch_size", "weight_decay")
    assert short.total_batch_size < whole.total_batch_size
    assert short.weight_decay == MAX_WEIGHT_DECAY


@pytest.mark.parametrize("steps", [20, 300, 2520, 20_000])
def test_the_batch_for_some_steps_is_that_of_the_tokens_they_make(steps: int) -> None:
    reference = 12 * 110_100_912
    batch = batch_for_steps(steps, reference)
    # A power of two on both sides: rounding may part them by one.
    assert abs(math.log2(batch / batch_tokens(steps * batch, reference))) <= 1


@pytest.mark.parametrize("budget", [1e18, 2.15e18, 4.64e18, 1e19])
def test_a_horizon_in_flops_spends_them(budget: float) -> None:
    config = resolved(base(12, target_flops=budget), "total_batch_size", "weight_decay")
    model = model_config(config, VOCAB)
    steps = horizon_steps(config, model)
    spent = steps * config.total_batch_size * flops_per_token(model)
    assert spent == pytest.approx(budget, rel=1 / steps)
    assert config.weight_decay > 0


def test_classic_recipe_counts_all_parameters_and_has_one_batch_and_no_decay() -> None:
    config = base(20, arch="classic", window_pattern="L", target_param_data_ratio=20.0)
    told = with_laws(
        dict.fromkeys(("total_batch_size", "weight_decay", "warmup_ratio"), "auto"), config, 65_536
    )
    assert told == {"total_batch_size": 524_288, "weight_decay": 0.0, "warmup_ratio": 0.0}


@pytest.mark.parametrize(("depth", "steps"), [(4, 1400), (12, 7080), (20, 21_400), (32, 71_680)])
def test_classic_horizons_are_the_published_ones(depth: int, steps: int) -> None:
    config = base(
        depth, arch="classic", window_pattern="L", target_param_data_ratio=20.0,
        total_batch_size=524_288,
    )  # fmt: skip
    model = model_config(config, 65_536)
    assert horizon_steps(config, model) == steps
    if depth == 32:
        assert steps * 524_288 * flops_per_token(model) == pytest.approx(4.5396e20, rel=1e-4)


def test_rates_of_the_groups_are_the_published_ones_for_a_d20() -> None:
    config = base(20)
    with torch.device("meta"):
        model = GPT(model_config(config, VOCAB))
    groups = adam_groups(model, config, lr_scale=1.0, tokens_per_step=2**20)
    by_name = {group.names[0].split(".")[0]: group for group in groups}
    bs, width = math.sqrt(2), (1280 / 768) ** -0.5
    expected = {
        "head": (0.008 * bs * width, (0.8, 0.96), 0.01),
        "wte": (0.3 * bs * width, (0.8, 0.995), 0.001),
        "value_embeds": (0.15 * bs * width, (0.8, 0.995), 0.01),
        "resid_lambdas": (0.005 * bs, (0.8, 0.95), 0.05),
        "x0_lambdas": (0.5 * bs, (0.96, 0.95), 0.0),
    }
    for name, (rate, betas, decay) in expected.items():
        group = by_name[name]
        assert group.lr == pytest.approx(rate)
        assert (group.betas, group.weight_decay) == (betas, decay)
