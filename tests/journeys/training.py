"""Runs that really train: a model of two layers, on a world of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.config import build_stage_config, config_hash
from core.plan import stage_inputs
from core.settings.setting import StageConfig
from runs.create import create_run
from runs.paths import LabHome, RunPaths
from tests.core.builders import base_config
from tests.journeys.doomed_worker import DOOM_FILE, Doom

CHAT_SETTINGS: dict[str, Any] = {
    "device_batch_size": 2, "total_batch_size": 128, "dtype": "float32", "compile": "off",
    "embedding_lr": 20.0, "matrix_lr": 1.0, "text_every": 3, "eval_tokens": 256,
}  # fmt: skip


def make_training_run(
    home: LabHome, world: Path, *, num_steps: int, save_every: int, **fields: Any
) -> RunPaths:
    """Create a run of the base stage alone, in a world made by `make_world`."""
    config = base_config(num_iterations=num_steps, save_every=save_every, eval_every=num_steps)
    return _create(home, world, {"base": config}, fields)


def make_staged_run(
    home: LabHome,
    world: Path,
    *,
    num_steps: Mapping[str, int],
    dooms: Sequence[Doom] = (),
    nproc: int = 1,
    **base: Any,
) -> RunPaths:
    """Create a run of `base`, `mid` and `sft`, or of the first of them, each with its steps.

    Every fourth step is saved and measured. `dooms` is what ends its workers; `base` holds more
    settings of the first stage.
    """
    configs: dict[str, StageConfig] = {}
    for stage, steps in num_steps.items():
        shared = {"num_iterations": steps, "save_every": 4, "eval_every": 4, "sample_every": steps}
        if stage == "base":
            configs[stage] = base_config(**shared, **base)
        else:
            configs[stage] = build_stage_config(stage, {**CHAT_SETTINGS, **shared})
    told = json.dumps([asdict(doom) for doom in dooms]).encode()
    return _create(
        home, world, configs,
        {
            "nproc": nproc,
            "worker": ("-m", "tests.journeys.doomed_worker"),
            "files": {DOOM_FILE: told},
        },
    )  # fmt: skip


def _create(
    home: LabHome,
    world: Path,
    configs: Mapping[str, StageConfig],
    fields: Mapping[str, Any],
) -> RunPaths:
    stages = [
        {
            "stage": stage,
            "config": asdict(config),
            "config_hash": config_hash(config),
            "inputs": stage_inputs(stage, configs),
            "total": asdict(config)["num_iterations"],
        }
        for stage, config in configs.items()
    ]
    given = {
        "corpus": world / "data" / "corpus",
        "tokenizer": world / "tokenizer.json",
        "conversations": world / "data" / "conversations",
    }
    inputs = {
        name: {"path": str(path), "sha256": name, "from": "x"} for name, path in given.items()
    }
    plan = {"stages": stages, "device": "cpu"}
    return create_run(home, plan=plan, recipe="base", preset="cpu", inputs=inputs, **fields)
