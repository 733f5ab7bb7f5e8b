"""The settings of the stages that train: base, mid and sft. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.settings.setting import (
    Arch,
    Dtype,
    StageConfig,
    require_not_negative,
    require_positive,
    setting,
)
from runs.errors import UsageError

Compile = Literal["auto", "on", "off"]
Optimizer = Literal["current", "classic"]
TokenCacheChoice = Literal["auto", "disk", "none"]
PackingChoice = Literal["auto", "best-fit", "flat"]
AttentionChoice = Literal["auto", "flash", "flex", "sdpa"]
Fp8 = Literal["auto", "on", "off"]


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
