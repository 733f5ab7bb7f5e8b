"""The runs that are tortured: two of toy stages, one that trains a model of two layers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from core.config import config_hash
from runs.create import create_run
from runs.paths import LabHome, RunPaths
from runs.policy import Policy
from tests.core.builders import base_config, make_world
from tests.runs.builders import toy_plan

NUM_RUNS = 3
ENDLESS = 1_000_000
TOY = {"base": {"steps": ENDLESS, "step_s": 0.02}}
PERSISTENT = Policy(retries=ENDLESS, backoff_s=0.1)


def make_runs(home: LabHome, world: Path) -> list[RunPaths]:
    """Create the runs; the second one may restart by itself."""
    worker = ("-m", "tests.torture.worker")
    toys = [
        create_run(
            home, plan=toy_plan(TOY), recipe="toy", preset="cpu", worker=worker, policy=policy
        )
        for policy in (Policy(), PERSISTENT)
    ]
    return [*toys, _training_run(home, world)]


def _training_run(home: LabHome, world: Path) -> RunPaths:
    make_world(world)
    config = base_config(num_iterations=ENDLESS, save_every=25, eval_every=ENDLESS)
    stage = {
        "stage": "base",
        "config": asdict(config),
        "config_hash": config_hash(config),
        "inputs": {"corpus": "data", "tokenizer": "tok"},
        "total": ENDLESS,
    }
    inputs = {
        "corpus": {"path": str(world / "data" / "corpus"), "sha256": "c", "from": "x:data"},
        "tokenizer": {"path": str(world / "tokenizer.json"), "sha256": "t", "from": "x:tok"},
    }
    plan = {"stages": [stage], "device": "cpu"}
    return create_run(home, plan=plan, recipe="base", preset="cpu", inputs=inputs)
