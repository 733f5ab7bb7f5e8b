"""How much a self-chat will take, before it begins. Torch-free.

Times are estimates from the constants below, for turns of full length; runs measure the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.config import ModelConfig
from core.hardware import Hardware
from core.scaling import count_params
from core.settings.experiments import SelfchatConfig
from runs.errors import UsageError

# Of one CPU core in float32, on steps of a few rows and on prompts, as measured on 2 cores.
CPU_CORE_FLOPS = 15e9
# What a token costs besides its products: kernels, probes, writing it down.
TOKEN_S = 3e-4
GPU_TOKEN_S = 6e-4
START_S = 8.0


# Positions that a model has, as a multiple of its training length (core.model).
MAX_LENGTHS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """At most so many turns and tokens, and seconds for all of them."""

    settings: int
    topics: int
    conversations: int
    turns: int
    tokens: int
    time_s: float

    def facts(self) -> Mapping[str, Any]:
        """Return the entries that a plan gets."""
        return {
            "settings": self.settings,
            "topics": self.topics,
            "conversations": self.conversations,
            "turns": self.turns,
            "tokens": self.tokens,
            "time_s": self.time_s,
            "usd": None,
        }


def check_context(config: SelfchatConfig, model: ModelConfig) -> None:
    """Raise UsageError when a conversation may fill more positions than a model has."""
    limit = MAX_LENGTHS * model.sequence_len
    if config.max_context is not None and config.max_context > limit:
        raise UsageError(
            f"max_context {config.max_context} is more than the {limit} positions of the model"
        )


def estimate(
    config: SelfchatConfig,
    model: ModelConfig,
    *,
    num_settings: int,
    num_topics: int,
    hardware: Hardware,
) -> Cost:
    """Return what a self-chat takes at most; loops and short turns make it less."""
    conversations = num_settings * num_topics * config.num_seeds
    turns = conversations * config.turns
    tokens = turns * config.max_new_tokens
    if config.max_tokens is not None:
        # A conversation notices at the end of a turn that its share is spent.
        tokens = min(tokens, config.max_tokens + conversations * config.max_new_tokens)
    # A turn reads the half of its conversation, on the average, before it speaks.
    read = tokens * (config.turns + 1) / 2
    counts = count_params(model)
    flops = 2 * (counts.matrices + counts.head)
    if hardware.gpus:
        talk_s = tokens * GPU_TOKEN_S
    else:
        speed = CPU_CORE_FLOPS * hardware.num_cpus
        talk_s = tokens * (TOKEN_S + flops / speed) + read * 2 * counts.matrices / speed
    if config.max_minutes is not None:
        talk_s = min(talk_s, 60 * config.max_minutes)
    return Cost(
        settings=num_settings,
        topics=num_topics,
        conversations=conversations,
        turns=turns,
        tokens=tokens,
        time_s=round(START_S + talk_s, 1),
    )
