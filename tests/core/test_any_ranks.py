"""A training that three ranks began goes on on another number of them, along the same curve."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.core import train_base
from tests.core.builders import make_world
from tests.core.forked import start_ranks, wait_for_ranks

STEPS, KILLED_AFTER = 6, 4
# Six rows of 32 tokens: two for each of three ranks, three for each of two.
OPTIONS = {
    "num_iterations": STEPS, "save_every": 2, "eval_every": None, "device_batch_size": 2,
    "total_batch_size": 6 * 32,
}  # fmt: skip
# Sums over ranks are added up in another order than those over micro-batches.
SAME_CURVE = 1e-4


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make_world(root)
    return root


def train(root: Path, name: str, *, ranks: int, kill_after: int | None = None) -> list[int | None]:
    """Train, or go on, with so many processes; returns their exit codes."""
    options = {**OPTIONS, "name": name, "kill_after": kill_after}
    return wait_for_ranks(
        start_ranks(train_base.main, root, options, ranks=ranks, errors=root / name)
    )


def losses(root: Path, name: str) -> dict[int, float]:
    lines = (root / name / "told.0.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    return {line["step"]: line["loss"] for line in told if "loss" in line}


@pytest.fixture(scope="module")
def whole(world: Path) -> dict[int, float]:
    """The losses of three ranks that nobody interrupted."""
    assert train(world, "whole", ranks=3) == [0, 0, 0]
    return losses(world, "whole")


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_three_ranks_that_were_killed_go_on_as_any_number_that_shares_the_step(
    world: Path, whole: dict[int, float], ranks: int
) -> None:
    name = f"on-{ranks}"
    assert set(train(world, name, ranks=3, kill_after=KILLED_AFTER)) != {0}
    assert train(world, name, ranks=ranks) == [0] * ranks
    again = losses(world, name)
    assert set(again) <= set(range(1, STEPS + 1)) and STEPS in again
    assert again == pytest.approx({step: whole[step] for step in again}, rel=SAME_CURVE)
    if ranks == 3:
        assert again == {step: whole[step] for step in again}
