"""Formulas of a model's shape, parameters and costs, each against a number that was published.

What is proven where; nanochat's two states are called current and classic.

depth -> width and heads ............ here, test_scaling (odd depths, other aspect ratios)
head width of every depth ........... here
vocabulary padded to 64 ............. here, test_scaling
windows, L and S, their pattern ..... here, test_scaling (2048 -> 512, 512 -> 128, 256 -> 128)
forward pass ........................ test_model (beside naive_gpt, in NumPy)
initialisation ...................... test_initialisation
parameters, closed forms ............ here; every depth: test_scaling
scaling parameters .................. test_scaling
training FLOPs, current ............. here; every depth: test_scaling
training FLOPs, classic ............. here
FLOPs of a prompt, of one token ..... here, test_scaling (one is the sum of the other)
KV bytes, stored and read ........... here, test_scaling (short windows)
classic horizons and their FLOPs .... here
current batch, horizon, rate, decay . test_scaling_laws
what sets classic and current apart . here; test_initialisation, test_formulas_optimizer
memory of a training step ........... test_scaling
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.config import ModelConfig
from core.scaling import (
    count_params,
    decode_flops,
    flops_per_token,
    kv_bytes_read,
    kv_bytes_stored,
    model_config,
    prefill_flops,
)
from core.scaling_laws import horizon_steps
from core.settings.training import BaseConfig

DEPTHS = (4, 6, 8, 12, 16, 20, 24, 26, 32, 34)


def classic_base(depth: int) -> BaseConfig:
    return BaseConfig(
        arch="classic", depth=depth, head_dim=128, sequence_len=2048, total_batch_size=524_288,
        target_param_data_ratio=20.0,
    )  # fmt: skip


def classic(depth: int) -> ModelConfig:
    return model_config(classic_base(depth), 65_536)


def current(depth: int, vocab_size: int = 32_768, **settings: Any) -> ModelConfig:
    values: dict[str, Any] = {
        "head_dim": 128, "sequence_len": 2048, "window_pattern": "SSSL", "num_iterations": 1,
    }  # fmt: skip
    return model_config(BaseConfig(depth=depth, **{**values, **settings}), vocab_size)


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_head_is_as_wide_as_asked_and_has_keys_of_its_own(depth: int) -> None:
    config = current(depth)
    assert config.n_embd == 64 * depth
    assert (config.head_dim, config.num_heads) == (128, depth // 2)
    assert config.num_kv_heads == config.num_heads
    assert (config.num_layers, config.sequence_len) == (depth, 2048)


@pytest.mark.parametrize("depth", [5, 7, 11])
def test_odd_depths_are_widened_to_whole_heads_where_nanochats_first_form_crashed(
    depth: int,
) -> None:
    for config in (current(depth), classic(depth)):
        assert config.n_embd == 64 * (depth + 1)
        assert config.head_dim == 128


@pytest.mark.parametrize(
    ("vocab", "padded"), [(1, 64), (64, 64), (65, 128), (50_257, 50_304), (32_768, 32_768)]
)
def test_vocabulary_is_rounded_up_to_64(vocab: int, padded: int) -> None:
    assert replace(current(4), vocab_size=vocab).padded_vocab_size == padded


def test_window_pattern_is_tiled_and_the_last_layer_sees_everything() -> None:
    config = current(10)
    windows = [config.window(layer) for layer in range(10)]
    assert windows == [512, 512, 512, 2048, 512, 512, 512, 2048, 512, 2048]
    assert {current(4, window_pattern="L").window(layer) for layer in range(4)} == {2048}


def test_a_row_shorter_than_the_short_window_is_seen_whole() -> None:
    # ceil(100 / 4 / 128) x 128 is 128: more than there is.
    config = current(4, sequence_len=100)
    assert [config.window(layer) for layer in range(4)] == [100] * 4


@pytest.mark.parametrize("depth", DEPTHS)
def test_classic_parameters_are_two_tables_and_twelve_squares_per_layer(depth: int) -> None:
    config = classic(depth)
    width = config.n_embd
    assert count_params(config).total == 2 * 65_536 * width + 12 * depth * width**2


@pytest.mark.parametrize(("depth", "kv_share"), [(4, 1), (4, 2), (5, 1), (5, 3), (32, 1), (32, 4)])
def test_current_parameters_follow_the_closed_form(depth: int, kv_share: int) -> None:
    config = current(depth, 65_536)
    kv_heads = config.num_heads // kv_share
    counts = count_params(replace(config, num_kv_heads=kv_heads))
    d, V, L, E = config.n_embd, 65_536, depth, -(-depth // 2)
    # 12 L d^2 where every head has keys and values of its own.
    squares = 2 * d * d + 2 * d * kv_heads * 128 + 8 * d * d
    tables = 2 * V * d + E * V * kv_heads * 128
    assert counts.total == tables + L * squares + E * 12 * kv_heads + 2 * L + 26
    assert counts.scalars == 2 * L + 26


def test_classic_d32_takes_the_published_flops_of_every_token() -> None:
    # 6 (N - V d) + 12 L H D T; the published run stated 1.20796e10.
    params = 1_879_048_192 - 65_536 * 2048
    assert flops_per_token(classic(32)) == 6 * params + 12 * 32 * 2048 * 2048
    assert flops_per_token(classic(32)) == pytest.approx(1.20796e10, rel=1e-5)


def test_current_d24_counts_windows_and_every_parameter_that_multiplies() -> None:
    # Matrices, head and the 24 channels of the smear's gate; 18 short layers, 6 long ones.
    multiplying = 679_478_976 + 50_331_648 + 24
    in_sight = 18 * 512 + 6 * 2048
    assert flops_per_token(current(24)) == 6 * multiplying + 12 * 1536 * in_sight
    assert flops_per_token(current(24)) == pytest.approx(4.775e9, rel=2e-4)


def test_a_prompt_costs_two_flops_per_parameter_and_four_per_pair_in_sight() -> None:
    config = current(24)
    multiplying = 679_478_976 + 50_331_648 + 24
    # w (w + 1) / 2 + (n - w) w pairs: all 300 see what is before them, or 512 at most.
    assert prefill_flops(config, 300) == 2 * multiplying * 300 + 24 * 4 * 1536 * 300 * 301 // 2
    short = 512 * 513 // 2 + (1000 - 512) * 512
    long = 1000 * 1001 // 2
    pairs = 18 * short + 6 * long
    assert prefill_flops(config, 1000) == 2 * multiplying * 1000 + 4 * 1536 * pairs


def test_one_more_token_costs_two_flops_per_parameter_and_four_per_position_in_sight() -> None:
    config = current(24)
    multiplying = 679_478_976 + 50_331_648 + 24
    assert decode_flops(config, 300) == 2 * multiplying + 4 * 1536 * 24 * 300
    in_sight = 18 * 512 + 6 * 1000
    assert decode_flops(config, 1000) == 2 * multiplying + 4 * 1536 * in_sight


def test_kv_cache_of_a_classic_d20_takes_100_kib_a_token() -> None:
    # 20 layers, keys and values, 10 heads of 128, two bytes each.
    assert kv_bytes_stored(classic(20)) == 20 * 2 * 10 * 128 * 2 == 102_400
    assert kv_bytes_stored(classic(20), value_bytes=4) == 204_800
    assert kv_bytes_read(classic(20), 2048) == 2048 * 102_400


def test_shared_keys_shrink_the_kv_cache_with_them() -> None:
    config = replace(current(24), num_kv_heads=3)
    assert kv_bytes_stored(config) == kv_bytes_stored(current(24)) // 4
    assert kv_bytes_read(config, 700) == kv_bytes_read(current(24), 700) // 4


@pytest.mark.parametrize(
    ("depth", "steps", "flops"),
    [
        (4, 1400, 1.06e17),
        (6, 2325, 3.31e17),
        (8, 3520, 8.36e17),
        (12, 7080, 3.85e18),
        (20, 21_400, 3.92e19),
        (24, 33_600, 9.84e19),
        (26, 41_275, 1.49e20),
        (32, 71_680, 4.54e20),
        (34, 84_575, 6.33e20),
    ],
)
def test_classic_horizon_is_twenty_tokens_per_parameter(
    depth: int, steps: int, flops: float
) -> None:
    made = horizon_steps(classic_base(depth), classic(depth))
    assert made == steps
    spent = made * 524_288 * flops_per_token(classic(depth))
    # Half a unit of the last digit that was published.
    assert spent == pytest.approx(flops, rel=5e-3)


def test_classic_and_current_differ_in_the_published_features() -> None:
    then, now = classic(20), current(20)
    features = ("value_embeds", "residual_scalars", "smear", "backout")
    assert [getattr(then, name) for name in features] == [False] * 4
    assert [getattr(now, name) for name in features] == [True] * 4
    assert (then.rope_base, now.rope_base) == (10_000, 100_000)
    assert (then.qk_scale, now.qk_scale) == (1.0, 1.2)
    assert (then.softcap, now.softcap) == (15, 15)
    assert [then.has_value_embed(layer) for layer in range(20)] == [False] * 20
    # Every other layer, counted from the last one.
    assert [layer for layer in range(20) if now.has_value_embed(layer)] == list(range(1, 20, 2))
    assert [layer for layer in range(5) if current(5).has_value_embed(layer)] == [0, 2, 4]
