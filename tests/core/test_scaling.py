"""Shapes, counts and costs in closed form, against what nanochat's own models come to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from core.config import ModelConfig
from core.model import GPT
from core.optim.muon_adamw import MuonAdamW
from core.ranks import alone
from core.scaling import (
    checkpoint_bytes,
    count_params,
    decode_flops,
    flops_per_token,
    kv_bytes_read,
    kv_bytes_stored,
    model_config,
    moment_bytes,
    prefill_flops,
    training_memory_bytes,
)
from core.settings.training import BaseConfig, ChatTrainConfig

CURRENT: dict[str, Any] = {
    "head_dim": 128, "sequence_len": 2048, "window_pattern": "SSSL", "num_iterations": 1,
}  # fmt: skip
CLASSIC: dict[str, Any] = {
    "arch": "classic", "head_dim": 128, "sequence_len": 2048, "num_iterations": 1,
}  # fmt: skip


def current(depth: int, vocab_size: int = 32_768, **settings: Any) -> ModelConfig:
    return model_config(BaseConfig(depth=depth, **{**CURRENT, **settings}), vocab_size)


def classic(depth: int) -> ModelConfig:
    return model_config(BaseConfig(depth=depth, **CLASSIC), 65_536)


@pytest.mark.parametrize(
    ("depth", "width", "heads", "total", "flops"),
    [
        (4, 256, 2, 36_700_160, 1.447e8),
        (6, 384, 3, 60_948_480, 2.713e8),
        (8, 512, 4, 92_274_688, 4.530e8),
        (12, 768, 6, 185_597_952, 1.038e9),
        (20, 1280, 10, 560_988_160, 3.492e9),
        (24, 1536, 12, 880_803_840, 5.587e9),
        (26, 1664, 13, 1_081_999_360, 6.901e9),
        (32, 2048, 16, 1_879_048_192, 1.208e10),
        (34, 2176, 17, 2_217_082_880, 1.427e10),
    ],
)
def test_classic_models_have_the_published_shapes_and_costs(
    depth: int, width: int, heads: int, total: int, flops: float
) -> None:
    config = classic(depth)
    assert (config.n_embd, config.num_heads) == (width, heads)
    assert count_params(config).total == total
    assert flops_per_token(config) == pytest.approx(flops, rel=5e-4)


@pytest.mark.parametrize(
    ("depth", "total", "wte", "value_embeds", "matrices", "scaling", "flops"),
    [
        (4, 36_700_242, 8_388_608, 16_777_216, 3_145_776, 11_534_384, 8.02e7),
        (6, 73_531_538, 12_582_912, 37_748_736, 10_616_940, 23_199_852, 1.675e8),
        (8, 125_829_354, 16_777_216, 67_108_864, 25_166_016, 41_943_232, 2.957e8),
        (12, 286_261_730, 25_165_824, 150_994_944, 84_935_088, 110_100_912, 7.597e8),
        (16, 536_871_738, 33_554_432, 268_435_456, 201_327_360, 234_881_792, 1.586e9),
        (20, 896_533_746, 41_943_040, 419_430_400, 393_217_200, 435_160_240, 2.886e9),
        (24, 1_384_122_122, 50_331_648, 603_979_776, 679_478_976, 729_810_624, 4.775e9),
        (26, 1_681_786_938, 54_525_952, 708_837_376, 863_897_580, 918_423_532, 5.991e9),
        (32, 2_818_575_450, 67_108_864, 1_073_741_824, 1_610_615_808, 1_677_724_672, 1.077e10),
    ],
)
def test_current_models_have_the_published_counts_in_every_group(
    depth: int, total: int, wte: int, value_embeds: int, matrices: int, scaling: int, flops: float
) -> None:
    counts = count_params(current(depth))
    assert (counts.token_embedding, counts.head) == (wte, wte)
    assert (counts.value_embeds, counts.matrices) == (value_embeds, matrices)
    assert (counts.scaling, counts.total) == (scaling, total)
    assert counts.scalars == 2 * depth + 26
    assert flops_per_token(current(depth)) == pytest.approx(flops, rel=5e-4)


@pytest.mark.parametrize(
    ("config", "total"),
    [
        (current(4, 65_536), 70_254_674),
        (current(6, 65_536), 136_446_098),
        (current(8, 65_536), 226_492_650),
        (current(12, 65_536), 487_588_322),
        (current(20, 65_536), 1_399_850_226),
        (current(24, 65_536), 2_088_765_194),
        (current(26, 65_536), 2_499_676_218),
        (current(32, 65_536), 4_026_535_002),
        (current(4, head_dim=64, sequence_len=512, window_pattern="L"), 36_700_290),
        (current(6, head_dim=64, sequence_len=512, window_pattern="L"), 73_531_646),
        (current(8, head_dim=64, sequence_len=512, window_pattern="L"), 125_829_546),
        (current(4, 8192, head_dim=64), 11_534_466),
        (current(6, 8192, head_dim=64), 26_345_726),
        (current(8, 8192, head_dim=64), 50_332_074),
        # Without the backout of nanochat's d2, which the norm after it would undo.
        (current(2, 8192, head_dim=64), 3_538_998 - 1),
    ],
)
def test_counts_follow_the_vocabulary_and_the_heads(config: ModelConfig, total: int) -> None:
    assert count_params(config).total == total


def test_width_is_rounded_up_to_whole_heads() -> None:
    assert current(5).n_embd == 384
    assert current(5, aspect_ratio=50).n_embd == 256


def test_vocabulary_is_padded_to_64() -> None:
    assert replace(current(4), vocab_size=32_001).padded_vocab_size == 32_064
    assert count_params(current(4, 32_705)).total == count_params(current(4)).total


@pytest.mark.parametrize(("sequence_len", "short"), [(2048, 512), (512, 128), (256, 128)])
def test_short_windows_are_a_quarter_of_the_row(sequence_len: int, short: int) -> None:
    config = current(6, sequence_len=sequence_len)
    windows = [config.window(layer) for layer in range(6)]
    assert windows == [short, short, short, sequence_len, short, sequence_len]


def test_a_prompt_costs_what_its_tokens_cost_one_by_one() -> None:
    config = current(4)
    for num_tokens in (1, 300, 700, 3000):
        more = prefill_flops(config, num_tokens + 1) - prefill_flops(config, num_tokens)
        assert more == decode_flops(config, num_tokens + 1)
    # Far into a row, one token costs a third of training on it.
    assert decode_flops(config, 4096) == pytest.approx(flops_per_token(config) / 3)


def test_kv_cache_stores_every_layer_and_reads_what_is_in_sight() -> None:
    config = current(4)
    assert kv_bytes_stored(config) == 4 * 2 * 2 * 128 * 2
    assert kv_bytes_read(config, 100) == 100 * kv_bytes_stored(config)
    # Three short layers of 512 and a full one.
    assert kv_bytes_read(config, 2000) == (3 * 512 + 2000) * kv_bytes_stored(config) // 4


def test_memory_of_a_d32_is_what_nanochat_needed() -> None:
    # 78 of 80 GB with 8 rows on each of eight H100; the estimate is held to 5 percent of it.
    needed = training_memory_bytes(classic(32), 8, num_ranks=8, has_all_logits=True)
    assert needed == pytest.approx(78e9, rel=0.02)


def test_memory_of_a_rank_has_its_share_of_the_moments() -> None:
    model = classic(32)
    one, eight = (training_memory_bytes(model, 8, num_ranks=number) for number in (1, 8))
    assert one - eight == moment_bytes(model) - moment_bytes(model, num_ranks=8)
    assert moment_bytes(model, num_ranks=8) == pytest.approx(moment_bytes(model) / 8, rel=1e-6)
    # More ranks than matrices of a shape: the first still has one of each.
    assert moment_bytes(model, num_ranks=1000) > moment_bytes(model) / 100


def test_logits_are_counted_by_the_chunk_or_all_where_they_are_fewer() -> None:
    large, small = classic(32), classic(4)
    all_logits = training_memory_bytes(large, 8, has_all_logits=True)
    saved = all_logits - training_memory_bytes(large, 8)
    assert saved == 12 * 8 * 2048 * 65_536 - 3 * 2**29
    tiny = replace(small, sequence_len=512)
    assert training_memory_bytes(tiny, 1, has_all_logits=True) == training_memory_bytes(tiny, 1)


@pytest.mark.parametrize(
    "config",
    [current(4), current(6, kv_ratio=3), current(4, tied_head=True), classic(4)],
    ids=["current", "shared-keys", "tied", "classic"],
)
def test_checkpoint_holds_weights_and_the_moments_of_the_real_optimizer(
    config: ModelConfig,
) -> None:
    with torch.device("meta"):
        model = GPT(config)
    optimizer = MuonAdamW(
        model, ChatTrainConfig(), alone(torch.device("meta")), tokens_per_step=4096
    )
    assert moment_bytes(config) == optimizer.state_bytes()
    weights = sum(parameter.nbytes for parameter in model.parameters())
    assert checkpoint_bytes(config) == weights + optimizer.state_bytes()
