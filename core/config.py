"""The shape of a model, and the settings of every stage by its name. Torch-free.

The help text of a setting feeds `--set`, `--dry-run` and the docs; values that no run could use
are refused with a UsageError that names the setting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

from core.settings.convert import convert
from core.settings.experiments import CompareConfig, EvalConfig, ReportConfig, SelfchatConfig
from core.settings.setting import Arch, StageConfig, naming
from core.settings.text import DataConfig, TokConfig
from core.settings.training import BaseConfig, ChatTrainConfig
from runs.errors import UsageError, nearest


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
