"""Two ranks: they agree when to stop and why, and measure what one rank measures."""

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
from core.data.packing import PackedRows
from core.data.shards import load_manifest
from core.data.token_cache import TokenCache, build_tokens, open_shards, shard_names
from core.tokenizer import Tokenizer
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


@pytest.mark.parametrize("is_ahead", [False, True])
def test_a_document_that_breaks_one_rank_is_named_by_all_and_written_down_once(
    world: Path, is_ahead: bool
) -> None:
    tokenizer = Tokenizer.from_file(world / "tokenizer.json")
    cache = TokenCache(corpus_dir=world / "data" / "corpus", tokenizer=tokenizer)
    names = shard_names(load_manifest(cache.corpus_dir), "train")
    list(build_tokens(cache, names))
    split = open_shards(cache, names)
    rows = PackedRows(split, row_len=32, pad=tokenizer.bos, seed=42, crop=True)
    # Of the two rows of the first step, the second is the second rank's.
    (token, *_) = sorted({*rows.row(1)[0].tolist()} - {*rows.row(0)[0].tolist()})
    name = f"broken-{is_ahead}"
    small = {"device_batch_size": 1, "total_batch_size": 64}
    broken = start(world, ranks=2, name=name, broken_token=token, is_ahead=is_ahead, **small)
    try:
        for process in broken:
            process.join(DEADLINE_S)
        assert [process.exitcode for process in broken] == [1, 1]
    finally:
        kill_ranks(broken)
    reasons = [told(world, name, rank)[-1]["failed"] for rank in (0, 1)]
    first = rows.documents(1)[0]
    for reason in reasons:
        assert "at step 1; 1 of its 2 rows break the numbers" in reason
        assert f"document {first.document} of {first.shard}" in reason
    assert [path.name for path in (world / name).rglob("batch-*.json")] == ["batch-1.json"]
