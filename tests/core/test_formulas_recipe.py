"""The laws and measures of a run, each against a number that was published or worked out.

What is proven where; the laws of every depth with our limit on the decay: test_scaling_laws.

horizon by steps, ratio, FLOPs ...... here, test_scaling_laws
reference horizon D_REF ............. here
batch law, power of two ............. here (its raw values), test_scaling_laws
rate law sqrt(B / B_REF) ............ here, test_scaling_laws
decay law, and the limit on it ...... here (law at every depth), test_scaling_laws (limit)
D is the run's real horizon ......... test_scaling_laws
micro-batches of a step ............. here
defaults of the recipe .............. here
order of save and measurement ....... test_training, test_loop
MFU, tokens a second ................ here
smoothed loss, time left ............ test_pace
the collector of garbage ............ test_garbage
scales of fp8 ....................... test_fp8
bits per byte ....................... here (split batches, tokens of other lengths), test_model,
                                      test_two_ranks (sums over ranks)
validation tokens ................... here, test_packing
peaks and bandwidths of cards ....... here (the rest of the table), test_hardware
resume, to the bit .................. tests/journeys
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core import scaling_laws
from core.data.packing import validation_batches
from core.data.tokens import ragged
from core.hardware_table import shipped_table
from core.loss import IGNORED, bits_per_byte
from core.model import GPT
from core.planning.settings import stage_configs
from core.scaling import flops_per_token, micro_batches, model_config
from core.scaling_laws import (
    batch_tokens,
    horizon_steps,
    rate_factor,
    reference_tokens,
    weight_decay,
)
from core.settings.training import BaseConfig, TrainConfig
from core.stages import base as base_stage
from runs.errors import UsageError
from runs.events import Note, Step
from runs.recipe import load_recipe
from tests.core.builders import NUM_MERGES, base_config, context, make_world, tiny_config

VOCAB = 32_768
# Of a d12 at 12 tokens for each parameter of its matrices and head.
D_REF = 12 * 110_100_912
SCALING_PARAMS = {
    4: 11_534_384, 6: 23_199_852, 8: 41_943_232, 12: 110_100_912, 16: 234_881_792,
    20: 435_160_240, 24: 729_810_624, 26: 918_423_532, 32: 1_677_724_672,
}  # fmt: skip


def base(depth: int, **settings: Any) -> BaseConfig:
    values: dict[str, Any] = {
        "depth": depth, "head_dim": 128, "sequence_len": 2048, "window_pattern": "SSSL",
    }  # fmt: skip
    return BaseConfig(**{**values, **settings})


@pytest.mark.parametrize("depth", [4, 12, 32])
def test_reference_horizon_is_that_of_a_d12_whatever_the_depth(depth: int) -> None:
    by_ratio = base(depth, target_param_data_ratio=12.0)
    assert reference_tokens(by_ratio, VOCAB) == D_REF
    assert reference_tokens(base(depth, target_param_data_ratio=8.0), VOCAB) == D_REF * 8 / 12
    assert reference_tokens(base(depth, num_iterations=7), VOCAB) == D_REF


@pytest.mark.parametrize(
    ("depth", "exponent"),
    [(4, 18), (6, 18), (8, 18), (12, 19), (16, 19), (20, 20), (24, 20), (26, 20), (32, 21)],
)
def test_batch_is_the_power_of_two_next_to_the_law(depth: int, exponent: int) -> None:
    tokens = 12.0 * SCALING_PARAMS[depth]
    law = 2**19 * (tokens / D_REF) ** 0.383
    assert batch_tokens(tokens, D_REF) == 2**exponent
    assert abs(math.log2(law) - exponent) <= 0.5


@pytest.mark.parametrize(
    ("exponent", "factor"), [(17, 0.5), (18, 0.707), (19, 1.0), (20, 1.414), (21, 2.0)]
)
def test_rates_grow_with_the_root_of_the_batch(exponent: int, factor: float) -> None:
    assert rate_factor(2**exponent) == pytest.approx(factor, abs=3e-4)


@pytest.mark.parametrize(
    ("depth", "decay"),
    [
        (4, 1.890), (6, 0.940), (8, 0.520), (12, 0.280), (16, 0.131), (20, 0.100),
        (24, 0.0597), (26, 0.0475), (32, 0.0368),
    ],
)  # fmt: skip
def test_decay_without_our_limit_is_the_published_one_at_every_depth(
    depth: int, decay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling_laws, "MAX_WEIGHT_DECAY", math.inf)
    tokens = 12.0 * SCALING_PARAMS[depth]
    law = weight_decay(batch_tokens(tokens, D_REF), tokens, D_REF)
    # Half a unit of the last digit that was published.
    assert law == pytest.approx(decay, abs=0.0006 if decay > 0.06 else 6e-5)


def test_a_budget_of_flops_is_rounded_to_whole_steps() -> None:
    # The published d32: 4.5396e20 FLOPs, 71,680 steps of half a million tokens.
    config = BaseConfig(
        arch="classic", depth=32, head_dim=128, sequence_len=2048, total_batch_size=524_288,
        target_flops=4.5396e20,
    )  # fmt: skip
    model = model_config(config, 65_536)
    assert horizon_steps(config, model) == pytest.approx(71_680, abs=2)
    step = flops_per_token(model) * 524_288
    for flops, steps in [(10.4 * step, 10), (10.6 * step, 11), (0.2 * step, 1)]:
        asked = base(32, total_batch_size=524_288, target_flops=flops, arch="classic")
        assert horizon_steps(asked, model) == steps


def test_a_ratio_is_rounded_down_to_whole_steps() -> None:
    config = base(20, total_batch_size=1_048_576, target_param_data_ratio=12.0)
    # 4,980.09 steps at 12 tokens a parameter, 4,357.6 at 10.5.
    assert horizon_steps(config, model_config(config, VOCAB)) == 4980
    config = base(20, total_batch_size=1_048_576, target_param_data_ratio=10.5)
    assert horizon_steps(config, model_config(config, VOCAB)) == 4357


def test_a_number_of_steps_is_taken_as_it_is() -> None:
    config = base(20, num_iterations=5000)
    assert horizon_steps(config, model_config(config, VOCAB)) == 5000


@pytest.mark.parametrize(
    ("batch", "rows", "row_len", "ranks", "micro"),
    [
        # Eight GPUs with 32 rows of 2,048 make half a million tokens at once; one needs 8 passes.
        (524_288, 32, 2048, 8, 1),
        (524_288, 32, 2048, 1, 8),
        (524_288, 8, 2048, 8, 4),
        (1_048_576, 16, 2048, 8, 4),
        (16_384, 32, 512, 1, 1),
    ],
)
def test_micro_batches_make_up_the_batch(
    batch: int, rows: int, row_len: int, ranks: int, micro: int
) -> None:
    config = TrainConfig(device_batch_size=rows, total_batch_size=batch)
    assert micro_batches(config, row_len, ranks) == micro


def test_a_batch_that_ranks_cannot_share_is_refused_with_both_numbers() -> None:
    config = TrainConfig(device_batch_size=32, total_batch_size=524_288)
    with pytest.raises(UsageError, match=r"524288 is not a multiple of 196608 .* 3 ranks"):
        micro_batches(config, 2048, 3)


def test_settings_left_alone_are_those_of_the_published_recipe() -> None:
    config = base(24, target_param_data_ratio=8.0)
    rates = (config.embedding_lr, config.unembedding_lr, config.matrix_lr, config.scalar_lr)
    assert rates == (0.3, 0.008, 0.02, 0.5)
    assert (config.warmdown_ratio, config.final_lr_frac, config.seed) == (0.65, 0.05, 42)
    assert config.muon_iterations == 5


def test_the_big_presets_have_the_published_settings_of_their_runs() -> None:
    recipe = load_recipe("speedrun")
    now = stage_configs(recipe, recipe["presets"]["8xh100"])["base"]
    assert isinstance(now, BaseConfig)
    assert (now.depth, now.target_param_data_ratio, now.device_batch_size) == (24, 8, 16)
    assert (now.sequence_len, now.window_pattern, now.eval_every) == (2048, "SSSL", 250)
    then = stage_configs(recipe, recipe["presets"]["classic-d20"])["base"]
    assert isinstance(then, BaseConfig)
    assert (then.arch, then.depth, then.target_param_data_ratio) == ("classic", 20, 20)
    assert (then.embedding_lr, then.unembedding_lr, then.matrix_lr) == (0.2, 0.004, 0.02)
    assert (then.warmdown_ratio, then.final_lr_frac, then.weight_decay) == (0.2, 0, 0)
    assert then.total_batch_size == 524_288


def test_mfu_is_the_flops_of_the_tokens_over_the_peak(tmp_path: Path) -> None:
    inputs = make_world(tmp_path)
    config = base_config(num_iterations=3, eval_every=3, sample_every=3)
    events = list(
        base_stage.run(config, context(tmp_path, inputs), stop=lambda: False, resume=None)
    )
    peaks = [event.data["peak_flops"] for event in events if isinstance(event, Note)]
    # Bytes, special tokens, and the merges of the test's tokenizer.
    per_token = flops_per_token(model_config(config, 256 + 9 + NUM_MERGES))
    steps = [event.metrics for event in events if isinstance(event, Step)]
    assert len(steps) == 3
    for number, metrics in enumerate(steps, start=1):
        achieved = metrics["tok_per_sec"] * per_token
        assert metrics["mfu"] == pytest.approx(achieved / float(str(peaks[0])), abs=6e-5)
        assert metrics["flops"] == pytest.approx(number * 128 * per_token)
        assert metrics["tokens"] == number * 128


def uniform_model(vocab_size: int) -> GPT:
    """Return a model that gives every token the same probability."""
    model = GPT(tiny_config(vocab_size=vocab_size))
    model.init_weights(torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.get_parameter("head.weight").zero_()
    return model


def test_bits_per_byte_is_nats_over_ln_2_and_bytes_of_tokens_of_any_length() -> None:
    # log2(256) = 8 bits for each of four tokens of 1, 2, 3 and 4 bytes: 32 bits over 10 bytes.
    token_bytes = torch.zeros(256, dtype=torch.int32)
    token_bytes[10:14] = torch.tensor([1, 2, 3, 4], dtype=torch.int32)
    idx = torch.zeros(1, 4, dtype=torch.long)
    targets = torch.tensor([[10, 11, 12, 13]])
    measured = bits_per_byte(uniform_model(256), [(idx, targets)], token_bytes)
    assert measured == pytest.approx(3.2, rel=1e-6)


def test_bits_per_byte_adds_up_before_it_divides() -> None:
    # 8 bits over 1 byte and 8 over 4: 16 / 5, where the mean of the batches would say 5.
    token_bytes = torch.zeros(256, dtype=torch.int32)
    token_bytes[10:12] = torch.tensor([1, 4], dtype=torch.int32)
    idx = torch.zeros(1, 1, dtype=torch.long)
    batches = [(idx, torch.tensor([[10]])), (idx, torch.tensor([[11]]))]
    assert bits_per_byte(uniform_model(256), batches, token_bytes) == pytest.approx(3.2, rel=1e-6)


def test_special_tokens_count_neither_as_bits_nor_as_bytes_and_alone_give_infinity() -> None:
    token_bytes = torch.zeros(256, dtype=torch.int32)
    token_bytes[10] = 2
    idx = torch.zeros(1, 3, dtype=torch.long)
    model = uniform_model(256)
    mixed = [(idx, torch.tensor([[10, 200, IGNORED]]))]
    assert bits_per_byte(model, mixed, token_bytes) == pytest.approx(4.0, rel=1e-6)
    assert bits_per_byte(model, [(idx, torch.tensor([[200, 201, 202]]))], token_bytes) == math.inf


@pytest.mark.parametrize(("num_tokens", "rows"), [(64, 4), (79, 4), (80, 5), (1, 1), (10**9, 12)])
def test_a_measurement_reads_whole_rows_of_the_tokens_asked_for(num_tokens: int, rows: int) -> None:
    ids = list(range(17))
    split = ragged([(ids, [1] * 17)] * 12)
    batches = validation_batches(split, row_len=16, pad=0, num_tokens=num_tokens, batch_size=3)
    read = [np.array(inputs) for inputs, _ in batches]
    assert sum(len(batch) for batch in read) == rows
    assert max(len(batch) for batch in read) <= 3


@pytest.mark.parametrize(
    ("name", "flops", "bandwidth"),
    [
        ("NVIDIA H800 NVL", 989e12, 3.35e12),
        ("AMD Instinct MI355X", 2.5e15, 8.0e12),
        ("AMD Instinct MI325X", 1.3074e15, 6.0e12),
        ("AMD Instinct MI300A", 980.6e12, 5.3e12),
        ("AMD Instinct MI250X", 383e12, 3.28e12),
    ],
)
def test_the_other_cards_have_the_published_peaks(
    name: str, flops: float, bandwidth: float
) -> None:
    card = shipped_table().find(name)
    assert card is not None
    assert (card.bf16_flops, card.bandwidth) == (flops, bandwidth)


@pytest.mark.parametrize("name", ["NVIDIA GB10", "NVIDIA GeForce RTX 4070", "Apple M3 Max"])
def test_cards_that_nanochats_table_lacked_are_known(name: str) -> None:
    card = shipped_table().find(name)
    assert card is not None and card.bf16_flops > 0 and card.source
