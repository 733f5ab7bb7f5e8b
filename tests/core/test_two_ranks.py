"""Two ranks: they agree when to stop, and measure what one rank measures."""

from __future__ import annotations

import json
import os
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from core import checkpoint
from tests.core import train_base
from tests.core.builders import make_world
from tests.core.forked import kill_ranks, start_ranks, wait_for_ranks

DEADLINE_S = 120


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make_world(root)
    return root


def start(root: Path, *, ranks: int, **options: Any) -> list[ForkServerProcess]:
    """Start a training of `ranks` processes."""
    errors = root / str(options["name"])
    return start_ranks(train_base.main, root, options, ranks=ranks, errors=errors)


def told(root: Path, name: str, rank: int) -> list[dict[str, Any]]:
    path = root / name / f"told.{rank}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measured(root: Path, name: str) -> float:
    return float([line["val_bpb"] for line in told(root, name, 0) if "val_bpb" in line][-1])


def test_a_signal_to_one_rank_stops_all_at_one_step_with_one_checkpoint(world: Path) -> None:
    name = "both"
    both = start(
        world, ranks=2, name=name, num_iterations=100_000, save_every=None, eval_every=None
    )
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not (len(told(world, name, 1)) > 4 and len(told(world, name, 0)) > 4):
            assert time.monotonic() < deadline
            assert all(process.is_alive() for process in both)
            time.sleep(0.05)
        os.kill(told(world, name, 1)[0]["pid"], signal.SIGTERM)
        assert wait_for_ranks(both) == [0, 0]
    finally:
        kill_ranks(both)
    ends = [told(world, name, rank)[-2:] for rank in (0, 1)]
    assert ends[0] == ends[1]
    assert ends[0][1] == {"end": "stopped"}
    saved = checkpoint.committed_steps(world / name / "checkpoints" / "base")
    assert list(saved) == [ends[0][0]["step"]]


def test_one_rank_and_two_measure_the_same_bits_per_byte(world: Path) -> None:
    # A finished training that is started again measures its last step again, and no more. Its
    # 19 rows are 10 batches, of which the last is half as long.
    options = {"name": "measured", "num_iterations": 2, "eval_tokens": 19 * 32}
    found = []
    for ranks in (1, 1, 2):
        assert set(wait_for_ranks(start(world, ranks=ranks, **options))) == {0}
        found.append(measured(world, "measured"))
    assert found[0] == found[1]
    assert found[2] == pytest.approx(found[0], rel=1e-9)
