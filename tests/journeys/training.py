"""A run that really trains: the base stage of a model of two layers, on a world of its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.config import config_hash
from runs.create import create_run
from runs.paths import LabHome, RunPaths
from tests.core.builders import base_config


def make_training_run(
    home: LabHome, world: Path, *, num_steps: int, save_every: int, **fields: Any
) -> RunPaths:
    """Create a run of the base stage alone, in a world made by `make_world`."""
    config = base_config(num_iterations=num_steps, save_every=save_every, eval_every=num_steps)
    stage = {
        "stage": "base",
        "config": asdict(config),
        "config_hash": config_hash(config),
        "inputs": {"corpus": "data", "tokenizer": "tok"},
        "total": num_steps,
    }
    inputs = {
        "corpus": {"path": str(world / "data" / "corpus"), "sha256": "c", "from": "x:data"},
        "tokenizer": {"path": str(world / "tokenizer.json"), "sha256": "t", "from": "x:tok"},
    }
    plan = {"stages": [stage], "device": "cpu"}
    return create_run(home, plan=plan, recipe="base", preset="cpu", inputs=inputs, **fields)
