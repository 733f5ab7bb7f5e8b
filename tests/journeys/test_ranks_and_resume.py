"""Two ranks, killed and resumed: to the last bit on two, along the same curve on one.

Real supervisor, torchrun, real workers over gloo; the world is small and the run is short.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from labcli.launching.resuming import check_ranks
from runs.errors import UsageError
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.views.checkpoints import newest
from runs.views.query import load_run
from tests.journeys.doomed_worker import Doom
from tests.journeys.resuming import curves, files, labcli, losses, resume, start, weights
from tests.journeys.training import make_staged_run

STEPS = {"base": 12}
# Sums over ranks are added up in another order than those over micro-batches.
SAME_CURVE = 1e-4


@pytest.fixture(scope="module")
def whole(home: LabHome, world: Path) -> RunPaths:
    """A run on two ranks that nobody interrupted."""
    paths = make_staged_run(home, world, num_steps=STEPS, nproc=2)
    assert start(paths) == "finished"
    return paths


@pytest.fixture(scope="module")
def killed(home: LabHome, world: Path) -> RunPaths:
    """A run whose second rank was killed after step 6; its last checkpoint is that of step 4."""
    dooms = [Doom(stage="base", rank=1, point="said:step:6")]
    paths = make_staged_run(home, world, num_steps=STEPS, dooms=dooms, nproc=2)
    # Also where the first rank had time to say that it lost its peer.
    assert start(paths) == "killed"
    checkpoint = newest(paths.checkpoints_dir("base"))
    assert checkpoint is not None and checkpoint.step == 4
    return paths


def ranks_of(paths: RunPaths, *, attempt: int) -> int:
    """Return how many ranks wrote events in an attempt."""
    return len(list(paths.events_dir.glob(f"base.a{attempt}.r*.jsonl")))


def copy_of(killed: RunPaths, home: LabHome) -> RunPaths:
    """Return a copy of a killed run in a lab home of its own."""
    paths = RunPaths(home.runs_dir / killed.run_dir.name)
    shutil.copytree(killed.run_dir, paths.run_dir)
    return paths


def test_run_whose_second_rank_was_killed_resumes_on_both_bit_for_bit(
    whole: RunPaths, killed: RunPaths, tmp_path: Path
) -> None:
    home = LabHome(tmp_path)
    again = copy_of(killed, home)
    assert resume(home, again) == "finished"
    assert curves(again) == curves(whole)
    assert list(losses(again)) == list(range(1, 13))
    assert weights(again) == weights(whole)
    assert files(again) == files(whole)


def test_checkpoint_of_two_ranks_goes_on_along_the_same_curve_on_one(
    whole: RunPaths, killed: RunPaths, tmp_path: Path
) -> None:
    home = LabHome(tmp_path)
    alone = copy_of(killed, home)
    assert resume(home, alone, "--nproc", "1") == "finished"
    assert losses(alone) == pytest.approx(losses(whole), rel=SAME_CURVE)
    assert list(losses(alone)) == list(range(1, 13))
    assert (ranks_of(alone, attempt=1), ranks_of(alone, attempt=2)) == (2, 1)


def test_ranks_that_cannot_share_the_batch_are_refused_before_anything_starts(
    killed: RunPaths,
) -> None:
    refused = labcli(killed.home, "runs", "resume", killed.run_dir.name[:26], "--nproc", "3")
    assert refused.returncode == 2
    assert "(32 tokens x 3 ranks); resume with --nproc 1, 2 or 4" in refused.stderr
    assert load_run(killed.run_dir).stages[0].attempt == 1


def test_ranks_are_checked_also_where_the_rows_at_a_time_are_left_open(
    home: LabHome, world: Path
) -> None:
    paths = make_staged_run(home, world, num_steps={"base": 4}, device_batch_size="auto")
    record = load_record(paths.run_dir)
    check_ranks(record, 4)
    with pytest.raises(UsageError, match="128 is not a multiple of 96"):
        check_ranks(record, 3)


@pytest.mark.soak
def test_checkpoint_of_one_rank_goes_on_along_the_same_curve_on_two(
    home: LabHome, world: Path, whole: RunPaths
) -> None:
    dooms = [Doom(stage="base", point="said:step:6")]
    paths = make_staged_run(home, world, num_steps=STEPS, dooms=dooms)
    assert start(paths) in ("killed", "crashed")
    assert resume(home, paths, "--nproc", "2") == "finished"
    assert ranks_of(paths, attempt=2) == 2
    assert losses(paths) == pytest.approx(losses(whole), rel=SAME_CURVE)
