"""The settings of a recipe's stages: its own, a preset's and a person's. Torch-free, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.config import build_stage_config
from core.planning.machine import PRESET_KEYS
from core.scaling_laws import AUTO, AUTO_SETTINGS, with_laws
from core.settings.setting import StageConfig
from core.settings.text import TokConfig
from core.settings.training import BaseConfig
from runs.errors import UsageError, nearest

# What stands for "auto" while the shape of the model is worked out.
_UNSET = {"total_batch_size": 1, "weight_decay": 0.0, "warmup_ratio": 0.0}
_HORIZONS = ("num_iterations", "target_param_data_ratio", "target_flops")


def stage_configs(
    recipe: Mapping[str, Any],
    preset: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    num_ranks: int = 1,
) -> dict[str, StageConfig]:
    """Return the settings of every stage of a recipe, as a preset and the overrides leave them.

    Where a setting of `base` says "auto", the laws of core.scaling_laws give its number.
    """
    values = _values(recipe, preset, overrides)
    _apply_laws(values, num_ranks)
    return {stage: build_stage_config(stage, values[stage]) for stage in recipe["stages"]}


def _values(
    recipe: Mapping[str, Any], preset: Mapping[str, Any], overrides: Sequence[str]
) -> dict[str, dict[str, Any]]:
    known = recipe["stages"]
    values = {stage: dict(recipe["settings"].get(stage, {})) for stage in known}
    for stage, settings in preset.items():
        if stage in PRESET_KEYS:
            continue
        if stage not in values:
            raise UsageError(f"preset names stage {stage!r}{nearest(stage, known)}")
        values[stage].update(settings)
    for override in overrides:
        key, separator, value = override.partition("=")
        stage, dot, name = key.partition(".")
        if not separator or not dot:
            raise UsageError(f"--set takes stage.key=value, such as base.depth=6, not {override!r}")
        if stage not in values:
            raise UsageError(f"--set {override}: no stage {stage!r}{nearest(stage, known)}")
        values[stage][name] = value
        _drop_rival(values[stage], name, value)
    return values


def _drop_rival(settings: dict[str, Any], name: str, value: str) -> None:
    """Let one horizon replace another: the preset may have set the one, the user the other."""
    if name in _HORIZONS and value not in ("none", "null"):
        for rival in _HORIZONS:
            if rival != name:
                settings.pop(rival, None)


def _apply_laws(values: dict[str, dict[str, Any]], num_ranks: int) -> None:
    base = values.get("base", {})
    asked = [name for name in AUTO_SETTINGS if base.get(name) == AUTO]
    if not asked:
        return
    numbers = {**base, **{name: _UNSET[name] for name in asked}}
    config = build_stage_config("base", numbers)
    tok = build_stage_config("tok", values["tok"])
    assert isinstance(config, BaseConfig) and isinstance(tok, TokConfig)
    values["base"] = with_laws(base, config, tok.vocab_size, num_ranks=num_ranks)
