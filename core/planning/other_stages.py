"""What the stages that do not train take: text, tokenizer, measurements, answers. Pure.

Torch-free. Rates are those of a speedrun on two cores that had other work as well, so that an
idle machine is faster; what nobody has measured is named, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.config import ModelConfig
from core.hardware import Hardware
from core.planning.disk import CHARS_PER_TOKEN, EMBEDDED, SHARD_CHARS
from core.scaling import flops_per_token
from core.settings.experiments import EvalConfig, ReportConfig
from core.settings.setting import StageConfig
from core.settings.text import DataConfig, TokConfig
from core.settings.training import TrainConfig
from core.tasks.registry import TASKS

MEASURED_ON = "a busy 2-core server"
# The documentation of this Python, read and cut into shards: 12 million characters of 5,000 files.
EMBEDDED_TEXT_S = 12.0
EMBEDDED_CHARS = 12e6
# Some 31,000 of them; other numbers differ by less than a second.
CONVERSATIONS_S = 2.0
# To load torch and a checkpoint.
START_S = 3.0
REPORT_S = 0.5
# Of words counted on both cores of it, and what merging them takes whatever the text.
TOK_CHARS_PER_S = 400e6
MERGING_S = 1.0
# What answering reaches of a CPU's training speed, 64 rows of a d4 in float32.
ANSWER_SHARE = 0.05
# The longest answer to a question by a model that has learned when to stop.
CHAT_ANSWER_TOKENS = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTime:
    """Seconds that are not training; `uncounted` is what no figure is known of."""

    seconds: float
    uncounted: tuple[str, ...]

    def parts(self) -> list[str]:
        """Return how the seconds are known, and what is not among them, in words."""
        parts = []
        if self.seconds:
            parts.append(
                f"{self.seconds:.0f} s of other stages, by rates measured on {MEASURED_ON}"
            )
        if self.uncounted:
            parts.append(f"not counted: {', '.join(self.uncounted)}")
        return parts


def other_time(
    stages: Iterable[tuple[str, StageConfig]],
    data: DataConfig,
    model: ModelConfig,
    hardware: Hardware,
) -> OtherTime:
    """Return what stages that do not train take on a machine; those that train are left out."""
    seconds = 0.0
    uncounted: dict[str, None] = {}
    for stage, config in stages:
        if isinstance(config, DataConfig):
            seconds += CONVERSATIONS_S
            if config.corpus == EMBEDDED:
                seconds += EMBEDDED_TEXT_S
            else:
                uncounted["downloads" if config.is_remote else "reading your text"] = None
        elif isinstance(config, TokConfig):
            if data.corpus == EMBEDDED or data.is_remote:
                seconds += tok_s(config, data)
            else:
                uncounted["the tokenizer"] = None
        elif isinstance(config, EvalConfig):
            seconds += START_S + measuring_s(config, model, hardware)
            if hardware.gpus:
                uncounted["the answers of evaluations"] = None
            else:
                seconds += answers_s(config, model, hardware, is_base=stage == "eval-base")
        elif isinstance(config, ReportConfig):
            seconds += REPORT_S
        elif isinstance(config, TrainConfig) and config.compile != "off":
            uncounted["compiling"] = None
    return OtherTime(seconds=seconds, uncounted=tuple(uncounted))


def tok_s(config: TokConfig, data: DataConfig) -> float:
    """Return the seconds of a tokenizer's training on text whose length is known."""
    chars = EMBEDDED_CHARS if data.corpus == EMBEDDED else data.num_shards * SHARD_CHARS
    return MERGING_S + min(config.max_chars, chars) / TOK_CHARS_PER_S


def measuring_s(config: EvalConfig, model: ModelConfig, hardware: Hardware) -> float:
    """Return the seconds that bits per byte take: a third of the FLOPs of training a token."""
    tokens = config.eval_tokens
    if config.eval_bytes is not None:
        tokens = int(config.eval_bytes / CHARS_PER_TOKEN)
    # One rank measures, whatever the number of GPUs.
    speed = hardware.flops_per_s / max(1, len(hardware.gpus))
    return tokens * flops_per_token(model) / 3 / speed


def answers_s(
    config: EvalConfig, model: ModelConfig, hardware: Hardware, *, is_base: bool
) -> float:
    """Return the seconds that a CPU answers questions for, a batch at a time to its longest."""
    num_batches = -(-config.num_items * len(TASKS) // config.batch_size)
    longest = config.max_new_tokens
    if not is_base:
        # A base model writes until it is stopped.
        longest = min(longest, CHAT_ANSWER_TOKENS)
    flops = num_batches * config.batch_size * longest * flops_per_token(model) / 3
    return flops / (ANSWER_SHARE * hardware.flops_per_s)
