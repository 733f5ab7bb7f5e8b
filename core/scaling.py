"""From the depth dial to shapes, and closed forms for parameters, FLOPs and memory. Torch-free.

L layers, C model width, V padded vocabulary, K kv heads, D head width, T sequence length.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.config import BaseConfig, ModelConfig, TrainConfig
from runs.errors import UsageError

SMEAR_CHANNELS = 24
GATE_CHANNELS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamCounts:
    """Parameters by group."""

    token_embedding: int
    value_embeds: int
    head: int
    matrices: int
    scalars: int

    @property
    def total(self) -> int:
        """All parameters."""
        return self.token_embedding + self.value_embeds + self.head + self.matrices + self.scalars

    @property
    def scaling(self) -> int:
        """The parameters that horizons and batch sizes are derived from: matrices and head."""
        return self.matrices + self.head


def model_config(base: BaseConfig, vocab_size: int) -> ModelConfig:
    """Return the model that `base` settings describe, for a vocabulary.

    The width is depth x aspect_ratio, rounded up to whole heads.
    """
    num_heads = -(-base.depth * base.aspect_ratio // base.head_dim)
    is_current = base.arch == "current"
    return ModelConfig(
        vocab_size=vocab_size,
        sequence_len=base.sequence_len,
        num_layers=base.depth,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        n_embd=num_heads * base.head_dim,
        window_pattern=base.window_pattern if is_current else "L",
        rope_base=100_000.0 if is_current else 10_000.0,
        qk_scale=1.2 if is_current else 1.0,
        value_embeds=is_current,
        residual_scalars=is_current,
        smear=is_current,
        # In two layers the middle one is the last: backout would be a factor that the norm undoes.
        backout=is_current and base.depth > 2,
    )


def count_params(config: ModelConfig) -> ParamCounts:
    """Return the parameter counts of a model, without building it."""
    layers, width, vocab = config.num_layers, config.n_embd, config.padded_vocab_size
    kv_width = config.num_kv_heads * config.head_dim
    num_value_layers = sum(config.has_value_embed(layer) for layer in range(layers))
    per_layer = 2 * width * width + 2 * width * kv_width + 8 * width * width
    scalars = 2 * layers if config.residual_scalars else 0
    scalars += SMEAR_CHANNELS + 1 if config.smear else 0
    scalars += 1 if config.backout else 0
    return ParamCounts(
        token_embedding=vocab * width,
        value_embeds=num_value_layers * vocab * kv_width,
        head=vocab * width,
        matrices=layers * per_layer + num_value_layers * GATE_CHANNELS * config.num_kv_heads,
        scalars=scalars,
    )


def flops_per_token(config: ModelConfig) -> float:
    """Return training FLOPs per token: 6 per matmul parameter, 12 H D T per layer's window.

    Attention is counted without the half that causality saves, as is usual for MFU.
    """
    counts = count_params(config)
    matmul = counts.matrices + counts.head + (SMEAR_CHANNELS if config.smear else 0)
    attention = sum(
        12 * config.num_heads * config.head_dim * min(config.window(layer), config.sequence_len)
        for layer in range(config.num_layers)
    )
    return 6.0 * matmul + attention


def training_memory_bytes(config: ModelConfig, device_batch_size: int) -> int:
    """Return a rough upper estimate of a training step's memory, in bytes.

    Weights, gradients and two moments in float32, activations in two bytes (34 model widths per
    token and layer, Korthikanti et al., arXiv 2205.05198), logits and their gradient in float32.
    """
    tokens = device_batch_size * config.sequence_len
    weights = 16 * count_params(config).total
    activations = 34 * 2 * tokens * config.n_embd * config.num_layers
    logits = 12 * tokens * config.padded_vocab_size
    return weights + activations + logits


def checkpoint_bytes(config: ModelConfig) -> int:
    """Return the size of one checkpoint: weights and two optimizer moments in float32."""
    return 12 * count_params(config).total


def micro_batches(config: TrainConfig, row_len: int, world_size: int) -> int:
    """Return how many micro-batches each rank accumulates per step.

    Raises:
        UsageError: the batch does not divide into rows of every rank.
    """
    per_pass = config.device_batch_size * row_len * world_size
    if config.total_batch_size % per_pass:
        raise UsageError(
            f"total_batch_size {config.total_batch_size} is not a multiple of {per_pass} "
            f"(device_batch_size {config.device_batch_size} x {row_len} tokens x "
            f"{world_size} ranks)"
        )
    return config.total_batch_size // per_pass
