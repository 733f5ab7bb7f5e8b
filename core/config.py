"""The settings of every stage: one frozen dataclass each. Torch-free.

The help text of a field feeds `--set`, `--dry-run` and the docs; `__post_init__` refuses
values that no run could use, with a UsageError that names the field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_type_hints

from core.convert import convert
from core.experiment_config import CompareConfig, EvalConfig, ReportConfig, SelfchatConfig
from core.setting import (
    Dtype,
    StageConfig,
    naming,
    require_not_negative,
    require_positive,
    setting,
)
from runs.errors import UsageError, nearest

Arch = Literal["current", "classic"]
Compile = Literal["auto", "on", "off"]
Optimizer = Literal["current", "classic"]
TokenCacheChoice = Literal["auto", "disk", "none"]
PackingChoice = Literal["auto", "best-fit", "flat"]
AttentionChoice = Literal["auto", "flash", "flex", "sdpa"]
Fp8 = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The shape of a model and the features it has; stored in every checkpoint."""

    vocab_size: int
    sequence_len: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    n_embd: int
    window_pattern: str = "L"
    rope_base: float = 100_000.0
    qk_scale: float = 1.2
    softcap: float = 15.0
    value_embeds: bool = True
    residual_scalars: bool = True
    smear: bool = True
    backout: bool = True
    init: Arch = "current"
    tied_head: bool = False

    def __post_init__(self) -> None:
        if self.n_embd % self.num_heads or (self.n_embd // self.num_heads) % 2:
            raise UsageError(
                f"n_embd {self.n_embd} does not split into {self.num_heads} heads of even width"
            )
        if self.num_heads % self.num_kv_heads:
            raise UsageError(f"{self.num_kv_heads} kv heads do not divide {self.num_heads} heads")
        if not self.window_pattern or set(self.window_pattern) - set("SL"):
            raise UsageError(f"window_pattern {self.window_pattern!r} must be made of S and L")

    @property
    def max_positions(self) -> int:
        """Positions that the rotary tables reach; quality beyond sequence_len is not known."""
        return 10 * self.sequence_len

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.num_heads

    @property
    def padded_vocab_size(self) -> int:
        """Rows of every vocabulary-sized table: the vocabulary rounded up to 64."""
        return -(-self.vocab_size // 64) * 64

    def has_value_embed(self, layer: int) -> bool:
        """Return whether a layer has a value-embedding table (alternating, last always)."""
        return self.value_embeds and layer % 2 == (self.num_layers - 1) % 2

    def window(self, layer: int) -> int:
        """Return how many previous positions a layer sees, itself excluded."""
        kind = self.window_pattern[layer % len(self.window_pattern)]
        if kind == "L" or layer == self.num_layers - 1:
            return self.sequence_len
        return min(self.sequence_len, -(-self.sequence_len // 4 // 128) * 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig(StageConfig):
    """Settings of `data`: the corpus and the generated conversations."""

    corpus: str = setting(
        "embedded",
        "The text: embedded (this Python's documentation), climbmix, fineweb-edu, a corpus of "
        "the lab by name or id, or a directory of parquet or JSONL files.",
    )
    num_shards: int = setting(8, "Training shards to download of climbmix or fineweb-edu.")
    shards_ahead: int | None = setting(
        None, "Download so many shards first, the others while training goes on; none: all."
    )
    num_mid: int = setting(24_000, "Conversations generated for midtraining.")
    num_sft: int = setting(6_000, "Conversations generated for supervised fine-tuning.")
    num_test: int = setting(400, "Held-out items generated for each skill.")

    def __post_init__(self) -> None:
        super(DataConfig, self).__post_init__()
        require_positive(self, "num_mid", "num_sft", "num_test", "num_shards")
        require_positive(self, "shards_ahead", unless="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokConfig(StageConfig):
    """Settings of `tok`: the byte-level BPE tokenizer."""

    vocab_size: int = setting(4096, "Vocabulary size, special tokens included.")
    max_chars: int = setting(2_000_000_000, "Characters of training text to read at most.")
    max_doc_chars: int = setting(10_000, "Characters read from one document at most.")

    def __post_init__(self) -> None:
        super(TokConfig, self).__post_init__()
        require_positive(self, "max_chars", "max_doc_chars")
        if not 265 <= self.vocab_size <= 65_536:
            raise UsageError(
                f"vocab_size {self.vocab_size} is outside 265..65536 "
                "(256 bytes and 9 special tokens are always there)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig(StageConfig):
    """Settings shared by the three stages that train a model."""

    device_batch_size: int | Literal["auto"] = setting(
        8, "Rows per micro-batch on one rank; auto: as many as fit, on a CPU as many as help."
    )
    total_batch_size: int = setting(4096, "Tokens per optimizer step over all ranks.")
    num_iterations: int | None = setting(None, "Optimizer steps; none: from the data or ratio.")
    embedding_lr: float = setting(0.3, "Learning rate of token and value embeddings.")
    unembedding_lr: float = setting(0.008, "Learning rate of the output head.")
    matrix_lr: float = setting(0.02, "Learning rate of the matrices (Muon).")
    scalar_lr: float = setting(0.5, "Learning rate of the residual scalars.")
    weight_decay: float = setting(0.0, "Cautious weight decay of the matrices at the start.")
    warmup_ratio: float = setting(0.0, "Share of the steps in which the rate rises from 0.")
    warmdown_ratio: float = setting(0.65, "Share of the steps in which the rate falls.")
    final_lr_frac: float = setting(0.05, "Rate at the last step, as a share of the peak.")
    momentum_warmup_steps: int | None = setting(
        None,
        "Steps in which Muon's momentum rises; none: 400, or a quarter of a shorter run; "
        "300 in the classic optimizer.",
    )
    optimizer: Optimizer = setting(
        "current",
        "Update rule: current (Polar Express, equalised and variance-scaled Muon, cautious "
        "decay), or classic (Newton-Schulz Muon, plain momentum, no decay).",
    )
    muon_iterations: int = setting(5, "Orthogonalisation steps of one Muon update.")
    grad_clip: float | None = setting(
        None, "Largest norm of the whole gradient; none: it is taken as it is."
    )
    dtype: Dtype = setting(
        "auto", "Compute type; auto: bfloat16 where the hardware has it, float16 on a V100 or T4."
    )
    activation_checkpointing: bool = setting(
        False, "Compute each block again in the backward pass: less memory, a third more time."
    )
    compile: Compile = setting("auto", "torch.compile; auto: when a C++ compiler is at hand.")
    attention: AttentionChoice = setting(
        "auto", "Attention kernel: flash, flex or sdpa; auto: the first that this machine has."
    )
    fp8: Fp8 = setting(
        "off",
        "Matrix products of the layers in 8-bit floats, which GPUs have from Hopper on; auto: "
        "there, when training is compiled. A d26 was faster by 17 %, a d12 slower.",
    )
    eval_every: int | None = setting(
        100, "Steps between measurements of validation bits per byte; none: the last step alone."
    )
    eval_tokens: int = setting(65_536, "Validation tokens read by one measurement.")
    eval_bytes: int | None = setting(
        None,
        "Validation text to measure in whole documents, so that vocabularies compare; none: "
        "eval_tokens instead.",
    )
    save_every: int | None = setting(
        100, "Steps between checkpoints; none: the last step alone, which is always saved."
    )
    keep_checkpoints: int = setting(2, "Newest checkpoints of the stage that stay.")
    keep_best: bool = setting(
        True, "The one with the fewest bits per byte stays, too, of those that were measured."
    )
    checkpoint_budget_gb: float | None = setting(
        None,
        "GB for the stage's checkpoints: the oldest go first, the best last, the newest never; one "
        "that is being written comes on top; none: no limit.",
    )
    sample_every: int | None = setting(
        200, "Steps between samples of the fixed prompts; none: the last step alone."
    )
    token_cache: TokenCacheChoice = setting(
        "auto", "disk: keep all tokens; none: only those at hand; auto: disk, where they fit."
    )

    @property
    def num_kept_checkpoints(self) -> int:
        """Checkpoints of the stage that lie on the disk at most, but for one being written."""
        return 1 if self.save_every is None else self.keep_checkpoints + self.keep_best

    def __post_init__(self) -> None:
        super(TrainConfig, self).__post_init__()
        require_positive(
            self, "total_batch_size", "eval_tokens", "keep_checkpoints", "muon_iterations",
        )  # fmt: skip
        require_not_negative(
            self, "embedding_lr", "unembedding_lr", "matrix_lr", "scalar_lr", "weight_decay",
        )  # fmt: skip
        require_positive(
            self, "num_iterations", "momentum_warmup_steps", "eval_bytes", "eval_every",
            "save_every", "sample_every", "checkpoint_budget_gb", "grad_clip", unless="none",
        )  # fmt: skip
        require_positive(self, "device_batch_size", unless="auto")
        if self.optimizer == "classic" and self.weight_decay:
            raise UsageError(
                "the classic optimizer has no weight decay: set weight_decay to 0, not "
                f"{self.weight_decay}, or optimizer to current"
            )
        for name in ("warmup_ratio", "warmdown_ratio", "final_lr_frac"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError(f"{name} is a share between 0 and 1, not {value}")

    @property
    def num_device_rows(self) -> int:
        """Rows per micro-batch, once `auto` has become a number (core.train.device_batch)."""
        assert self.device_batch_size != "auto"
        return self.device_batch_size


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseConfig(TrainConfig):
    """Settings of `base`: pretraining on text."""

    arch: Arch = setting("current", "Named architecture: current or classic.")
    depth: int = setting(4, "Number of layers: the one dial that sets the model's size.")
    aspect_ratio: int = setting(64, "Model width per layer of depth.")
    head_dim: int = setting(64, "Width of one attention head.")
    kv_ratio: int = setting(1, "Query heads that share one head of keys and values.")
    tied_head: bool = setting(False, "Let one table be token embedding and head.")
    sequence_len: int = setting(512, "Tokens in a training row.")
    window_pattern: str = setting("L", "Attention windows by layer: S short, L long.")
    # Not "auto": runs that were planned before there was a choice go on as they began.
    packing: PackingChoice = setting(
        "best-fit",
        "best-fit: rows begin with a document; flat: no token is dropped; auto: best-fit, unless "
        "that would read a small text more than four times.",
    )
    pair_start_steps: int = setting(
        0, "Steps that fit embedding and head to the text's token pairs before training."
    )
    target_param_data_ratio: float | None = setting(
        None, "Training tokens per scaling parameter, when num_iterations is none."
    )
    target_flops: float | None = setting(
        None, "Training FLOPs to spend, when num_iterations and the ratio are none."
    )

    def __post_init__(self) -> None:
        super(BaseConfig, self).__post_init__()
        require_positive(self, "depth", "aspect_ratio", "head_dim", "kv_ratio", "sequence_len")
        require_not_negative(self, "pair_start_steps")
        if self.head_dim % 2:
            raise UsageError(f"head_dim must be even, not {self.head_dim}")
        if self.pair_start_steps and self.tied_head:
            raise UsageError(
                "pair_start_steps fits embedding and head apart: set it to 0, or tied_head to false"
            )
        horizons = ("num_iterations", "target_param_data_ratio", "target_flops")
        given = [name for name in horizons if getattr(self, name) is not None]
        if len(given) != 1:
            raise UsageError(
                "set one of num_iterations, target_param_data_ratio and target_flops, "
                f"not {' and '.join(given) or 'none'}"
            )
        require_positive(self, *given)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTrainConfig(TrainConfig):
    """Settings of `mid` and `sft`: packed, masked conversations."""

    epochs: int = setting(1, "Passes over the conversations, when num_iterations is none.")
    init_lr_frac: float = setting(1.0, "Scale of every learning rate against its setting.")
    text_every: int | None = setting(
        None, "Every n-th row is corpus text, so that the model keeps what it learned from it."
    )

    def __post_init__(self) -> None:
        super(ChatTrainConfig, self).__post_init__()
        require_positive(self, "epochs")
        require_not_negative(self, "init_lr_frac")
        if self.text_every is not None and self.text_every < 2:
            raise UsageError(f"text_every must be 2 or more, not {self.text_every}")


STAGE_CONFIGS: Mapping[str, type[StageConfig]] = {
    "data": DataConfig,
    "tok": TokConfig,
    "base": BaseConfig,
    "eval-base": EvalConfig,
    "mid": ChatTrainConfig,
    "eval-mid": EvalConfig,
    "sft": ChatTrainConfig,
    "eval-sft": EvalConfig,
    "report": ReportConfig,
}
# Experiments are runs of their own, with one stage, over checkpoints that other runs made.
EXPERIMENT_CONFIGS: Mapping[str, type[StageConfig]] = {
    "selfchat": SelfchatConfig,
    "compare": CompareConfig,
}


def build_stage_config(stage: str, values: Mapping[str, Any]) -> StageConfig:
    """Return the config of a stage from plain values (TOML, JSON or `--set` text).

    Raises:
        UsageError: an unknown key (the nearest are named), a value of the wrong type, or one
            that no run could use; all name the stage.
    """
    kind = STAGE_CONFIGS.get(stage) or EXPERIMENT_CONFIGS.get(stage)
    if kind is None:
        raise UsageError(f"unknown stage {stage!r}{nearest(stage, STAGE_CONFIGS)}")
    hints = get_type_hints(kind)
    known = {spec.name for spec in fields(kind)}
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{stage} has no setting {key!r}{nearest(key, known)}")
        checked[key] = convert(f"{stage}.{key}", value, hints[key])
    with naming(stage):
        return kind(**checked)


def config_hash(config: StageConfig | ModelConfig) -> str:
    """Return a hash of the settings: equal settings, equal hash, whatever their order."""
    text = json.dumps(asdict(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
