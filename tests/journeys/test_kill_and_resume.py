"""kill -9 in the middle of base, mid and sft, then `labcli runs resume`, to the last bit.

Real supervisor, real workers, real training; the world is small and the stages are short.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runs.paths import LabHome, RunPaths
from runs.views.checkpoints import newest
from tests.journeys.doomed_worker import Doom
from tests.journeys.resuming import curves, files, labcli, resume, start, weights
from tests.journeys.training import make_staged_run

STEPS = {"base": 12, "mid": 8, "sft": 8}


@pytest.fixture(scope="module")
def whole(home: LabHome, world: Path) -> RunPaths:
    """A run that nobody interrupted."""
    paths = make_staged_run(home, world, num_steps=STEPS)
    assert start(paths) == "finished"
    return paths


def test_run_killed_in_every_stage_is_seen_and_resumes_bit_for_bit(
    home: LabHome, world: Path, whole: RunPaths
) -> None:
    dooms = [
        # While the file that commits step 4 is written. What is left of it is removed first, and
        # step 4 once more when step 12 was saved.
        Doom(stage="base", point="cut:COMMITTED:1"),
        Doom(stage="base", attempt=2, point="removing:step_000004:2"),
        Doom(stage="mid", point="measuring:4", takes_all=True),
        Doom(stage="sft", point="unsaid:checkpoint:4"),
    ]
    paths = make_staged_run(home, world, num_steps=STEPS, dooms=dooms)
    reached = []
    state = start(paths)
    for doom in dooms:
        assert state in ("killed", "crashed")
        rows = json.loads(labcli(home, "runs", "list", "--json").stdout)
        assert (rows[0]["state"], rows[0]["stage"]) == (state, doom.stage)
        checkpoint = newest(paths.checkpoints_dir(doom.stage))
        reached.append(checkpoint and checkpoint.step)
        state = resume(home, paths)
    assert state == "finished"
    # What was not committed whole is no checkpoint; one that nobody heard of is.
    assert reached == [None, 12, 4, 4]
    assert curves(paths) == curves(whole)
    assert {(stage, step) for stage, kind, step in curves(whole) if kind == "step"} == {
        (stage, step) for stage, steps in STEPS.items() for step in range(1, steps + 1)
    }
    assert weights(paths) == weights(whole)
    assert files(paths) == files(whole)
