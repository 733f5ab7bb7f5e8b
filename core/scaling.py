"""From the depth dial to shapes, and closed forms for parameters, FLOPs and memory. Torch-free.

L layers, C model width, V padded vocabulary, K kv heads, D head width, T sequence length.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from core.config import ModelConfig
from core.settings.training import BaseConfig, TrainConfig
from core.shared_batch import nearest_batch
from runs.errors import UsageError

# A gate reads so many of the model's first channels; a narrower model's gates read all it has.
SMEAR_CHANNELS = 24
GATE_CHANNELS = 12
# Per token, layer and model width, for the backward pass; fitted to the 78 of 80 GB in which
# nanochat's d32 was run, 8 rows on each of eight ranks.
VALUES_KEPT = 23
# Below so many elements every rank holds a tensor's moments: a message would cost more.
MIN_SHARDED_ELEMENTS = 1024
# A chunk of logits is half a gigabyte at most on a GPU, less on a CPU (core.loss).
MAX_LOSS_BYTES = 3 * 512 * 2**20


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

    Raises:
        UsageError: kv_ratio does not divide the number of heads.
    """
    num_heads = -(-base.depth * base.aspect_ratio // base.head_dim)
    if num_heads % base.kv_ratio:
        raise UsageError(
            f"kv_ratio {base.kv_ratio} does not divide the {num_heads} heads of this model; "
            "change it, depth or head_dim"
        )
    is_current = base.arch == "current"
    return ModelConfig(
        vocab_size=vocab_size,
        sequence_len=base.sequence_len,
        num_layers=base.depth,
        num_heads=num_heads,
        num_kv_heads=num_heads // base.kv_ratio,
        n_embd=num_heads * base.head_dim,
        window_pattern=base.window_pattern if is_current else "L",
        rope_base=100_000.0 if is_current else 10_000.0,
        qk_scale=1.2 if is_current else 1.0,
        value_embeds=is_current,
        residual_scalars=is_current,
        smear=is_current,
        # In two layers the middle one is the last: backout would be a factor that the norm undoes.
        backout=is_current and base.depth > 2,
        init=base.arch,
        tied_head=base.tied_head,
    )


def count_params(config: ModelConfig) -> ParamCounts:
    """Return the parameter counts of a model, without building it."""
    layers, width, vocab = config.num_layers, config.n_embd, config.padded_vocab_size
    kv_width = config.num_kv_heads * config.head_dim
    num_value_layers = sum(config.has_value_embed(layer) for layer in range(layers))
    per_layer = 2 * width * width + 2 * width * kv_width + 8 * width * width
    scalars = 2 * layers if config.residual_scalars else 0
    scalars += min(SMEAR_CHANNELS, width) + 1 if config.smear else 0
    scalars += 1 if config.backout else 0
    return ParamCounts(
        # A table that is both counts as the head: that is what costs products.
        token_embedding=0 if config.tied_head else vocab * width,
        value_embeds=num_value_layers * vocab * kv_width,
        head=vocab * width,
        matrices=layers * per_layer
        + num_value_layers * min(GATE_CHANNELS, width) * config.num_kv_heads,
        scalars=scalars,
    )


def matrix_shapes(config: ModelConfig) -> dict[tuple[int, int], int]:
    """Return how many matrices of each shape Muon moves; those of one shape are one stack."""
    width, kv_width = config.n_embd, config.num_kv_heads * config.head_dim
    layers = range(config.num_layers)
    shapes: Counter[tuple[int, int]] = Counter()
    # Query and output, key and value, and the two of the MLP: alike in shape where all heads have
    # keys of their own.
    shapes[width, width] += 2 * config.num_layers
    shapes[kv_width, width] += 2 * config.num_layers
    shapes[4 * width, width] += config.num_layers
    shapes[width, 4 * width] += config.num_layers
    num_value_layers = sum(config.has_value_embed(layer) for layer in layers)
    if num_value_layers:
        shapes[config.num_kv_heads, min(GATE_CHANNELS, width)] += num_value_layers
    return dict(shapes)


def moment_bytes(config: ModelConfig, *, num_ranks: int = 1) -> int:
    """Return the bytes of the optimizer's moments on the first rank, which owns the most.

    Muon has one per matrix and a value per line of its longer side; AdamW two of everything else.
    Matrices are dealt whole and tables by rows (core.optim.sharding); what is small, each rank has.
    """
    values = 0
    for (rows, columns), number in matrix_shapes(config).items():
        values += -(-number // num_ranks) * (rows * columns + max(rows, columns))
    for rows, columns in _tables(config):
        is_dealt = rows * columns >= MIN_SHARDED_ELEMENTS
        values += 2 * columns * (-(-rows // num_ranks) if is_dealt else rows)
    return 4 * (values + 2 * count_params(config).scalars)


def flops_per_token(config: ModelConfig) -> float:
    """Return training FLOPs per token: 6 per matmul parameter, 12 H D T per layer's window.

    Attention is counted without the half that causality saves, as is usual for MFU.
    """
    attention = sum(
        12 * config.num_heads * config.head_dim * min(config.window(layer), config.sequence_len)
        for layer in range(config.num_layers)
    )
    return 6.0 * _matmul_params(config) + attention


def prefill_flops(config: ModelConfig, num_tokens: int) -> float:
    """Return the FLOPs of reading a prompt, each position attending to those before it."""
    attention = 0
    for layer in range(config.num_layers):
        window = min(config.window(layer), num_tokens)
        pairs = window * (window + 1) // 2 + (num_tokens - window) * window
        attention += 4 * config.n_embd * pairs
    return 2.0 * _matmul_params(config) * num_tokens + attention


def decode_flops(config: ModelConfig, context: int) -> float:
    """Return the FLOPs of one more token after `context` others."""
    in_sight = sum(min(context, config.window(layer)) for layer in range(config.num_layers))
    return 2.0 * _matmul_params(config) + 4 * config.n_embd * in_sight


def kv_bytes_stored(config: ModelConfig, *, value_bytes: int = 2) -> int:
    """Return the bytes that one position takes in the KV cache."""
    return config.num_layers * 2 * config.num_kv_heads * config.head_dim * value_bytes


def kv_bytes_read(config: ModelConfig, context: int, *, value_bytes: int = 2) -> int:
    """Return the bytes of the KV cache that one more token after `context` others reads."""
    in_sight = sum(min(context, config.window(layer)) for layer in range(config.num_layers))
    return 2 * config.num_kv_heads * config.head_dim * value_bytes * in_sight


def training_memory_bytes(
    config: ModelConfig,
    device_batch_size: int,
    *,
    num_ranks: int = 1,
    value_bytes: int = 2,
    is_checkpointing: bool = False,
    has_all_logits: bool = False,
) -> int:
    """Return an upper estimate of a training step's memory on one rank, in bytes.

    Weights and gradients in float32, and a rank's share of the optimizer's moments; logits, their
    gradient and one copy in float32, of a chunk of tokens at a time, or of all; VALUES_KEPT values
    per token, layer and model width that the backward pass needs, of `value_bytes` each. With
    activation checkpointing every layer keeps one of those values, its input, and one layer at a
    time makes the others again.
    """
    tokens = device_batch_size * config.sequence_len
    layers = config.num_layers
    num_kept = layers + VALUES_KEPT if is_checkpointing else layers * VALUES_KEPT
    activations = num_kept * value_bytes * tokens * config.n_embd
    logits = 12 * tokens * config.padded_vocab_size
    if not has_all_logits:
        logits = min(logits, MAX_LOSS_BYTES)
    weights = 8 * count_params(config).total
    return weights + moment_bytes(config, num_ranks=num_ranks) + activations + logits


def checkpoint_bytes(config: ModelConfig) -> int:
    """Return the size of one checkpoint: weights and all moments in float32."""
    return 4 * count_params(config).total + moment_bytes(config)


def _tables(config: ModelConfig) -> list[tuple[int, int]]:
    """Return the shape of every table that AdamW moves: embeddings, and a head of its own."""
    vocab = config.padded_vocab_size
    num_value_layers = sum(config.has_value_embed(layer) for layer in range(config.num_layers))
    own_head = [] if config.tied_head else [(vocab, config.n_embd)]
    kv_width = config.num_kv_heads * config.head_dim
    return [(vocab, config.n_embd), *own_head, *[(vocab, kv_width)] * num_value_layers]


def _matmul_params(config: ModelConfig) -> int:
    counts = count_params(config)
    return (
        counts.matrices + counts.head + (min(SMEAR_CHANNELS, config.n_embd) if config.smear else 0)
    )


def micro_batches(config: TrainConfig, row_len: int, world_size: int) -> int:
    """Return how many micro-batches each rank accumulates per step.

    Raises:
        UsageError: the batch does not divide into rows of every rank.
    """
    per_pass = config.num_device_rows * row_len * world_size
    if config.total_batch_size % per_pass:
        near = nearest_batch(config.total_batch_size, per_pass)
        raise UsageError(
            f"total_batch_size {config.total_batch_size} is not a multiple of {per_pass} "
            f"(device_batch_size {config.device_batch_size} x {row_len} tokens x "
            f"{world_size} {'rank' if world_size == 1 else 'ranks'}); the nearest is {near}"
        )
    return config.total_batch_size // per_pass
