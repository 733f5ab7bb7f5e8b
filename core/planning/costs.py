"""What a plan takes: tokens, text, memory, disk, time and dollars, each with its source.

Torch-free. Times are estimates from the table of hardware; runs measure the real ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.config import ModelConfig
from core.hardware import Hardware
from core.planning.disk import (
    CHARS_PER_TOKEN,
    SHARD_CHARS,
    Disk,
    plan_disk,
    token_cache_source,
)
from core.planning.memory import memory_source, step_memory
from core.planning.other_stages import OtherTime, other_time
from core.planning.speed import speed_source, training_flops_per_s
from core.scaling import (
    count_params,
    flops_per_token,
)
from core.settings.setting import StageConfig
from core.settings.text import DataConfig
from core.settings.training import BaseConfig, ChatTrainConfig, TrainConfig

# Of generated conversations at 4,096 entries, padding included; larger vocabularies need fewer.
TOKENS_PER_CONVERSATION = {"mid": 40, "sft": 49}
# Best-fit packing drops the tails that fit into no row; at 2,048 tokens that was 34.6 percent.
KEPT_BY_PACKING = 1 - 0.346


@dataclass(frozen=True, slots=True, kw_only=True)
class StageWork:
    """How much one stage does; `steps` is None where it does not train."""

    stage: str
    config: StageConfig
    steps: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What the stages of a plan take together.

    sources: by the name of the figure, where it comes from.
    shards: training shards to download; None where the text is at hand.
    disk: what `disk_bytes` is made of.
    text_bytes: the part of `disk_bytes` that runs with the same text share: shards and tokens.
    download_bytes: the part of it that the shards are.
    """

    tokens: int
    flops: float
    shards: int | None
    download_bytes: int
    text_bytes: int
    memory_bytes: int
    disk_bytes: int
    disk: Disk
    time_s: float
    usd: float | None
    usd_per_hour: float | None
    sources: Mapping[str, str]


def plan_costs(
    stages: Sequence[StageWork],
    base: BaseConfig,
    data: DataConfig,
    model: ModelConfig,
    hardware: Hardware,
    *,
    num_ranks: int,
) -> Costs:
    """Return what the stages take on a machine; memory is that of one of its ranks."""
    tokens = {work.stage: _stage_tokens(work, data) for work in stages}
    flops = sum(tokens.values()) * flops_per_token(model)
    trained = [(s.stage, s.config) for s in stages if isinstance(s.config, TrainConfig)]
    other = other_time([(s.stage, s.config) for s in stages], data, model, hardware)
    time_s = (
        other.seconds
        + _validation_s(stages, model, hardware)
        + sum(
            tokens[stage] * flops_per_token(model) / training_flops_per_s(config, model, hardware)
            for stage, config in trained
        )
    )
    shards = None if not data.is_remote else data.num_shards
    disk = plan_disk(
        [config for _, config in trained],
        base.token_cache,
        data,
        model,
        num_shards=shards,
        free_bytes=hardware.disk_free_bytes,
    )
    rate = hardware.usd_per_hour
    usd = None if rate is None else round(rate * time_s / 3600, 2)
    configs = [config for _, config in trained] or [base]
    step = step_memory(configs, model, hardware, num_ranks=num_ranks)
    return Costs(
        tokens=tokens.get("base", 0),
        flops=flops,
        shards=shards,
        download_bytes=disk.downloads,
        text_bytes=disk.text,
        memory_bytes=step.num_bytes,
        disk_bytes=disk.total,
        disk=disk,
        time_s=round(time_s, 1),
        usd=usd,
        usd_per_hour=rate,
        sources={
            **_sources(base, data, model, hardware, tokens.get("base", 0), disk),
            "memory_bytes": memory_source(step, num_ranks, has_gpus=bool(hardware.gpus)),
            "time_s": _time_source(trained, other, model, hardware),
        },
    )


def shards_for_tokens(tokens: float, *, kept: float = 1.0) -> int:
    """Return the shards that hold so many tokens; kept: the share of them that rows keep."""
    return math.ceil(tokens / kept * CHARS_PER_TOKEN / SHARD_CHARS)


def _stage_tokens(work: StageWork, data: DataConfig) -> int:
    config = work.config
    if not isinstance(config, TrainConfig):
        return 0
    if work.steps is not None:
        return work.steps * config.total_batch_size
    assert isinstance(config, ChatTrainConfig)
    rows = data.num_mid if work.stage == "mid" else data.num_sft
    told = config.epochs * rows * TOKENS_PER_CONVERSATION[work.stage]
    # Every n-th row is text: a pass over the conversations takes n rows for n - 1 of theirs.
    every = config.text_every
    return told if every is None else told * every // (every - 1)


def _validation_s(stages: Sequence[StageWork], model: ModelConfig, hardware: Hardware) -> float:
    """Return the seconds in which training stages measure themselves."""
    seconds = 0.0
    for work in stages:
        config = work.config
        if isinstance(config, TrainConfig) and work.steps is not None:
            once = config.eval_tokens
            if config.eval_bytes is not None:
                once = int(config.eval_bytes / CHARS_PER_TOKEN)
            measured = once * -(-work.steps // (config.eval_every or work.steps))
            seconds += measured * flops_per_token(model) / 3 / hardware.flops_per_s
    return seconds


def _sources(
    base: BaseConfig,
    data: DataConfig,
    model: ModelConfig,
    hardware: Hardware,
    tokens: int,
    disk: Disk,
) -> dict[str, str]:
    counts = count_params(model)
    return {
        "num_params": f"closed form; matrices and head are {counts.matrices + counts.head:,}",
        "tokens": f"of pretraining: steps x {base.total_batch_size:,} tokens",
        "steps": _horizon_source(base, counts.total, counts.scaling),
        "flops": f"{flops_per_token(model):.4g} per token, closed form, over all training stages",
        "shards": _shards_source(base, data, tokens),
        "disk_bytes": disk.source(),
        "token_cache": token_cache_source(base.token_cache, disk),
        "usd": (
            "no price of this machine is known; --usd-per-hour gives one"
            if hardware.usd_per_hour is None
            else f"time x ${hardware.usd_per_hour:.2f} an hour, the usual price of these GPUs"
        ),
    }


def _time_source(
    trained: Sequence[tuple[str, TrainConfig]],
    other: OtherTime,
    model: ModelConfig,
    hardware: Hardware,
) -> str:
    parts = [f"validation, and {speed_source(trained, model, hardware)}"] if trained else []
    parts += other.parts()
    return "; ".join(parts)


def _horizon_source(base: BaseConfig, num_params: int, num_scaling: int) -> str:
    if base.num_iterations is not None:
        return "num_iterations, as set"
    if base.target_flops is not None:
        return f"target_flops {base.target_flops:.3g} over the FLOPs of a step"
    ratio = f"{base.target_param_data_ratio:g} tokens for each of"
    if base.arch == "classic":
        return f"{ratio} all {num_params:,} parameters"
    return f"{ratio} {num_scaling:,} parameters in matrices and head"


def _shards_source(base: BaseConfig, data: DataConfig, tokens: int) -> str:
    shards = data.num_shards
    if not data.is_remote:
        return f"corpus {data.corpus}: none to download"
    whole = shards_for_tokens(tokens)
    read, dropped = whole, ""
    if base.packing != "flat":
        read = shards_for_tokens(tokens, kept=KEPT_BY_PACKING)
        dropped = f", {read} with what packing drops"
    passes = read / shards
    times = "less than once" if passes <= 1 else f"{passes:.2g} times"
    # A share more than all of it is packing's, by the estimate.
    times = "once" if times == "1 times" else times
    return (
        f"data.num_shards, and one for validation; at {CHARS_PER_TOKEN} characters a token the "
        f"tokens fill {whole} shards{dropped}: the text is read {times}"
    )
