"""The laws that turn the depth dial into a run: horizon, batch, rates and decay. Torch-free, pure.

D tokens of the whole run, B tokens per step, N steps. The laws are stated against a reference,
a model of depth 12 of the same kind, trained with B_REF tokens per step for D_REF tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.config import ModelConfig
from core.scaling import count_params, flops_per_token, model_config
from core.schedule import steps_for_ratio
from core.settings.training import BaseConfig
from core.shared_batch import BUSY_ROWS, nearest_batch, nearest_share

AUTO = "auto"
REFERENCE_DEPTH = 12
REFERENCE_BATCH_TOKENS = 2**19
# What the horizon of the reference is where a run states no ratio of its own.
DEFAULT_RATIO = 12.0
# B grows with D to this power (Power Lines, arXiv 2505.13738).
BATCH_EXPONENT = 0.383
REFERENCE_WEIGHT_DECAY = 0.28
# The law is known to hold from d10 up. Below d8 it asks for up to seven times what a d12 has: at d4
# 1.9, by which one step shrinks the output matrices of the MLP by 5 percent. A run of that length,
# 138 M tokens, was not made. In 60 steps of 4,096 tokens with the same product of rate, decay and
# steps, a d4 ends at 1.992 bits per byte with what the law asks, at 1.991 with the cap and at 1.993
# without decay (core/train/LAB.md): no harm, too little to tell them apart. What the law asks of a
# d8 stays the most that is used, as a precaution.
MAX_WEIGHT_DECAY = 0.52
WARMUP_STEPS = 40
MAX_WARMUP_SHARE = 0.05
# The settings of `base` that may say "auto".
AUTO_SETTINGS = ("total_batch_size", "weight_decay", "warmup_ratio")


def horizon_steps(config: BaseConfig, model: ModelConfig) -> int:
    """Return the steps of pretraining: as many as asked, or as FLOPs or a ratio of data give."""
    if config.num_iterations is not None:
        return config.num_iterations
    batch = config.total_batch_size
    if config.target_flops is not None:
        return max(1, round(config.target_flops / (flops_per_token(model) * batch)))
    assert config.target_param_data_ratio is not None
    return steps_for_ratio(config.target_param_data_ratio, horizon_params(config, model), batch)


def horizon_params(config: BaseConfig, model: ModelConfig) -> int:
    """Return the parameters that a ratio of data is stated in.

    The classic recipe counts all of them; the current one those of the matrices and the head,
    which gave the straightest power laws.
    """
    counts = count_params(model)
    return counts.total if config.arch == "classic" else counts.scaling


def reference_tokens(config: BaseConfig, vocab_size: int) -> float:
    """Return D_REF: the horizon of the same kind of model at depth 12."""
    model = model_config(replace(config, depth=REFERENCE_DEPTH), vocab_size)
    return (config.target_param_data_ratio or DEFAULT_RATIO) * horizon_params(config, model)


def batch_tokens(tokens: float, reference: float) -> int:
    """Return B for a horizon, a power of two: B_REF (D / D_REF)^0.383."""
    return _power_of_two(REFERENCE_BATCH_TOKENS * (tokens / reference) ** BATCH_EXPONENT)


def batch_for_steps(num_steps: int, reference: float) -> int:
    """Return B for a number of steps, where D = B N depends on B itself."""
    share = num_steps * REFERENCE_BATCH_TOKENS / reference
    return _power_of_two(REFERENCE_BATCH_TOKENS * share ** (BATCH_EXPONENT / (1 - BATCH_EXPONENT)))


def rate_factor(batch: int) -> float:
    """Return the factor on all learning rates: sqrt(B / B_REF), which the optimizer applies."""
    return math.sqrt(batch / REFERENCE_BATCH_TOKENS)


def weight_decay(batch: int, tokens: float, reference: float) -> float:
    """Return the decay that forgets over the same share of every run, at most that of a d8.

    0.28 sqrt(B / B_REF) D_REF / D keeps B / (rate x decay x D) constant (arXiv 2405.13698).
    """
    law = REFERENCE_WEIGHT_DECAY * rate_factor(batch) * reference / tokens
    return min(law, MAX_WEIGHT_DECAY)


def warmup_share(num_steps: int) -> float:
    """Return the share of the steps in which the rate rises: 40 steps, less in a short run."""
    return min(MAX_WARMUP_SHARE, WARMUP_STEPS / num_steps)


def with_laws(
    values: Mapping[str, Any], base: BaseConfig, vocab_size: int, *, num_ranks: int = 1
) -> dict[str, Any]:
    """Return settings of `base` with a number for every "auto".

    base: the same settings, with any numbers in place of the words. D is the run's real horizon,
    also where it was given in steps or FLOPs. The batch is one that `num_ranks` can share.
    """
    model = model_config(base, vocab_size)
    reference = reference_tokens(base, vocab_size)
    is_classic = base.arch == "classic"
    told = dict(values)
    if told.get("total_batch_size") == AUTO:
        batch = REFERENCE_BATCH_TOKENS if is_classic else _auto_batch(base, model, reference)
        batch = _in_whole_passes(batch, base, num_ranks)
        told["total_batch_size"] = batch
        base = replace(base, total_batch_size=batch)
    num_steps = horizon_steps(base, model)
    tokens = float(num_steps * base.total_batch_size)
    if base.num_iterations is None and base.target_flops is None:
        # Not rounded to whole steps: the reference's own figures are not.
        tokens = (base.target_param_data_ratio or 0.0) * horizon_params(base, model)
    if told.get("weight_decay") == AUTO:
        decay = 0.0 if is_classic else weight_decay(base.total_batch_size, tokens, reference)
        told["weight_decay"] = float(f"{decay:.4g}")
    if told.get("warmup_ratio") == AUTO:
        told["warmup_ratio"] = 0.0 if is_classic else float(f"{warmup_share(num_steps):.4g}")
    return told


def _auto_batch(base: BaseConfig, model: ModelConfig, reference: float) -> int:
    if base.num_iterations is not None:
        return batch_for_steps(base.num_iterations, reference)
    if base.target_flops is not None:
        return batch_tokens(base.target_flops / flops_per_token(model), reference)
    assert base.target_param_data_ratio is not None
    return batch_tokens(base.target_param_data_ratio * horizon_params(base, model), reference)


def _in_whole_passes(batch: int, base: BaseConfig, num_ranks: int) -> int:
    """Return the batch nearest to the law's that all ranks can share, each in whole passes.

    The law's own, where it is one: the law asks for less than a pass in runs of some hundred steps.
    """
    if base.device_batch_size == "auto":
        return nearest_share(batch, BUSY_ROWS, base.sequence_len, num_ranks).batch
    return nearest_batch(batch, base.device_batch_size * base.sequence_len * num_ranks)


def _power_of_two(value: float) -> int:
    return int(2 ** round(math.log2(value)))
