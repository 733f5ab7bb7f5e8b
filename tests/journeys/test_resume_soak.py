"""Many kills at seeded random points of base, mid and sft, on one rank and on two.

Whatever a kill hits (a step, a checkpoint half written, a measurement, the tokens being cached,
the moment between a commit and its event, one rank or everything at once), the run that is
resumed ends where one that nobody interrupted does, to the last bit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runs.paths import LabHome, RunPaths
from tests.core.builders import make_world
from tests.journeys.doomed_worker import Doom
from tests.journeys.resuming import curves, files, resume, start, weights
from tests.journeys.training import make_staged_run
from tests.runs.builders import kill_everything

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3000)]
STEPS = {"base": 12, "mid": 8, "sft": 8}
SAVED = (4, 8)
KILLS_PER_STAGE = 3
CHECKPOINT_FILES = ("COMMITTED", "meta.json", "optimizer", "measured.json", "step_000008")
Point = Callable[[random.Random, int], str]
# Only the first rank writes checkpoints, measures and tells of it.
FIRST_RANK: tuple[Point, ...] = (
    lambda rng, steps: f"unsaid:checkpoint:{rng.choice((*SAVED, steps))}",
    lambda rng, steps: f"said:checkpoint:{rng.choice((*SAVED, steps))}",
    lambda rng, steps: f"measuring:{rng.choice((*SAVED, steps))}",
    lambda rng, steps: f"said:eval:{rng.choice((*SAVED, steps))}",
    lambda rng, steps: f"unsaid:sample:{steps}",
    lambda rng, steps: f"torn:{rng.choice((*SAVED, steps)) - 1}",
    lambda rng, steps: f"file:{rng.choice(CHECKPOINT_FILES)}:{rng.randint(1, 12)}",
    lambda rng, steps: f"cut:{rng.choice(CHECKPOINT_FILES)}:{rng.randint(1, 4)}",
    lambda rng, steps: f"removing:step_00000{rng.choice(SAVED)}:1",
)
ANY_RANK: tuple[Point, ...] = (
    lambda rng, steps: f"said:step:{rng.randint(1, steps)}",
    lambda rng, steps: f"unsaid:step:{rng.randint(1, steps)}",
    lambda rng, steps: f"unsaid:note:{1}",
    lambda rng, steps: f"unsaid:progress:{rng.randint(1, 2)}",
)


def draw(rng: random.Random, nproc: int) -> list[Doom]:
    """Return the kills of one run, the first one before a token is cached."""
    dooms = [Doom(stage="base", point="unsaid:progress:1")]
    for stage, steps in STEPS.items():
        for attempt in range(1 + (stage == "base"), KILLS_PER_STAGE + 1):
            rank = rng.randrange(nproc)
            points = ANY_RANK if rank else ANY_RANK + FIRST_RANK
            dooms.append(
                Doom(
                    stage=stage,
                    attempt=attempt,
                    rank=rank,
                    point=rng.choice(points)(rng, steps),
                    takes_all=rng.random() < 0.3,
                )
            )
    return dooms


@pytest.fixture
def home(tmp_path: Path) -> Iterator[LabHome]:
    """A lab home whose processes are ended with the tests."""
    home = LabHome(tmp_path / "home")
    yield home
    kill_everything(home)


@pytest.fixture(scope="module", params=[1, 2])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run on one rank or on two that nobody interrupted."""
    root = tmp_path_factory.mktemp("whole")
    make_world(root)
    paths = make_staged_run(LabHome(root / "home"), root, num_steps=STEPS, nproc=request.param)
    assert start(paths) == "finished"
    return paths


@pytest.mark.parametrize("seed", range(4))
def test_run_killed_at_random_points_ends_as_if_nobody_had(
    home: LabHome, tmp_path: Path, whole: RunPaths, seed: int, request: pytest.FixtureRequest
) -> None:
    nproc = request.node.callspec.params["whole"]
    rng = random.Random(100 * nproc + seed)
    world = tmp_path / "world"
    make_world(world)
    dooms = draw(rng, nproc)
    paths = make_staged_run(home, world, num_steps=STEPS, dooms=dooms, nproc=nproc)
    state = start(paths)
    for _ in dooms:
        if state == "finished":
            break
        state = resume(home, paths)
    assert state == "finished", dooms
    assert curves(paths) == curves(whole), dooms
    assert weights(paths) == weights(whole), dooms
    assert files(paths) == files(whole), dooms


@pytest.mark.parametrize(
    "settings",
    [
        {"compile": "on", "dtype": "bfloat16"},
        {"token_cache": "none", "packing": "flat"},
        {"optimizer": "classic", "grad_clip": 0.5},
        {"activation_checkpointing": True, "kv_ratio": 2},
        {"pair_start_steps": 20},
    ],
    ids=lambda settings: "+".join(settings),
)
def test_run_with_other_settings_resumes_bit_for_bit(
    home: LabHome, tmp_path: Path, settings: dict[str, Any]
) -> None:
    make_world(tmp_path)
    steps = {"base": STEPS["base"]}
    dooms = [
        Doom(stage="base", point="said:step:3"),
        Doom(stage="base", attempt=2, point="measuring:8"),
    ]
    left_alone = make_staged_run(home, tmp_path, num_steps=steps, **settings)
    assert start(left_alone) == "finished"
    killed = make_staged_run(home, tmp_path, num_steps=steps, dooms=dooms, **settings)
    assert start(killed) == "killed"
    assert resume(home, killed) == "killed"
    assert resume(home, killed) == "finished"
    assert curves(killed) == curves(left_alone)
    assert weights(killed) == weights(left_alone)
