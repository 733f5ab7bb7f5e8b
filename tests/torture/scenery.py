"""The runs that are tortured: two of toy stages, one that trains a model of two layers."""

from __future__ import annotations

from pathlib import Path

from runs.create import create_run
from runs.paths import LabHome, RunPaths
from runs.supervision.policy import Policy
from tests.core.builders import make_world
from tests.journeys.training import make_training_run
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
    make_world(world)
    return [*toys, make_training_run(home, world, num_steps=ENDLESS, save_every=25)]
