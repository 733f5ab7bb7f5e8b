"""The settings of the stages that ask a model: eval, report, selfchat, compare. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from core.settings.setting import (
    Dtype,
    StageConfig,
    require_not_negative,
    require_positive,
    setting,
)
from runs.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig(StageConfig):
    """Settings of the `eval-*` stages."""

    num_items: int = setting(200, "Held-out items asked per skill.")
    max_new_tokens: int = setting(96, "Tokens the model may write per item.")
    batch_size: int = setting(64, "Items answered at once.")
    eval_tokens: int = setting(65_536, "Validation tokens for bits per byte.")
    eval_bytes: int | None = setting(
        None,
        "Validation text to measure in whole documents, so that vocabularies compare; none: "
        "eval_tokens instead.",
    )
    dtype: Dtype = setting("auto", "Compute type; auto: float32 on a CPU, bfloat16 on a GPU.")

    def __post_init__(self) -> None:
        super(EvalConfig, self).__post_init__()
        require_positive(self, "num_items", "max_new_tokens", "batch_size", "eval_tokens")
        if self.eval_bytes is not None:
            require_positive(self, "eval_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig(StageConfig):
    """Settings of `report`."""

    usd_per_hour: float | None = setting(None, "Price of the machine; none: from the hardware.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfchatConfig(StageConfig):
    """Settings of `selfchat`: one cell per combination of the grids."""

    turns: int = setting(6, "Turns of a conversation after its topic.")
    num_seeds: int = setting(4, "Conversations per topic and cell of the grid.")
    temperatures: tuple[float, ...] = setting((0.6, 1.0), "Temperatures of the grid.")
    top_ks: tuple[int | None, ...] = setting((50,), "Values of top_k in the grid; none: all.")
    top_ps: tuple[float | None, ...] = setting((None,), "Values of top_p in the grid; none: all.")
    min_p: float | None = setting(None, "Tokens below this share of the likeliest are dropped.")
    repetition_penalty: float = setting(1.0, "Divides the logits of what was said; 1: nothing.")
    system_a: str | None = setting(None, "System text of side a.")
    system_b: str | None = setting(None, "System text of side b.")
    max_new_tokens: int = setting(64, "Tokens of one turn at most.")
    max_context: int | None = setting(
        None, "Positions that a conversation may fill; none: the model's training length."
    )
    keep_looping: bool = setting(False, "Go on when the speakers repeat themselves.")
    max_minutes: float | None = setting(None, "Minutes of talking, all attempts together.")
    max_tokens: int | None = setting(
        None, "Tokens of all conversations together; each may use an equal share."
    )
    num_alternatives: int = setting(5, "Alternatives kept of every token.")
    batch_size: int = setting(16, "Conversations that one model speaks in at a time.")
    dtype: Dtype = setting("auto", "Compute type; auto: float32 on a CPU, bfloat16 on a GPU.")

    def __post_init__(self) -> None:
        super(SelfchatConfig, self).__post_init__()
        require_positive(self, "turns", "num_seeds", "max_new_tokens", "batch_size")
        for name in ("max_context", "max_minutes", "max_tokens"):
            if getattr(self, name) is not None:
                require_positive(self, name)
        require_not_negative(self, "num_alternatives")
        for name in ("temperatures", "top_ks", "top_ps"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise UsageError(f"{name} needs at least one value, and none twice: {values}")
        if not all(0 <= value < float("inf") for value in self.temperatures):
            raise UsageError(f"every temperature is 0 or more, not {self.temperatures}")
        if any(value is not None and value < 1 for value in self.top_ks):
            raise UsageError(f"every top_k is 1 or more, or none, not {self.top_ks}")
        for share in (*self.top_ps, self.min_p):
            if share is not None and not 0 < share <= 1:
                raise UsageError(f"top_p and min_p are above 0 and at most 1, not {share}")
        if not 0 < self.repetition_penalty < float("inf"):
            raise UsageError(f"repetition_penalty is above 0, not {self.repetition_penalty}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareConfig(StageConfig):
    """Settings of `compare`: every model answers every prompt at every temperature."""

    temperatures: tuple[float, ...] = setting((0.0,), "Temperatures to answer at.")
    num_answers: int = setting(1, "Answers per model, prompt and temperature, seeds going up.")
    top_k: int | None = setting(50, "Tokens are drawn from so many of the likeliest; none: all.")
    top_p: float | None = setting(None, "Tokens are drawn from those that hold this share.")
    min_p: float | None = setting(None, "Tokens below this share of the likeliest are dropped.")
    repetition_penalty: float = setting(1.0, "Divides the logits of what was said; 1: nothing.")
    max_new_tokens: int = setting(256, "Tokens of one answer at most.")
    batch_size: int = setting(8, "Prompts that one model answers at a time.")
    dtype: Dtype = setting("auto", "Compute type; auto: float32 on a CPU, bfloat16 on a GPU.")

    def __post_init__(self) -> None:
        super(CompareConfig, self).__post_init__()
        require_positive(self, "num_answers", "max_new_tokens", "batch_size")
        if not self.temperatures or len(set(self.temperatures)) < len(self.temperatures):
            raise UsageError(
                f"temperatures needs at least one value, and none twice: {self.temperatures}"
            )
