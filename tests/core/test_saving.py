"""What a full disk, a stubborn one and a small corpus cost a training: never the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core import checkpoint
from core.data.shard_writer import write_shards
from core.data.shards import SourceCount
from core.stages import base
from core.stages.context import Input
from core.train import loop
from core.train.spikes import SpikeWatch
from runs.errors import StageFailed
from runs.events import Alert, Checkpoint, End, Eval, Event, Step
from tests.core.builders import base_config, context, make_world, texts
from tests.core.test_loop import kept_steps, of, train


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Input]:
    return make_world(tmp_path_factory.mktemp("world"))


def test_a_full_disk_at_a_stop_says_from_where_the_run_would_go_on(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> checkpoint.Saved:
        raise OSError(28, "No space left on device")

    ctx = context(tmp_path, inputs)
    told: list[Event] = []

    def stop() -> bool:
        if (is_over := len(of(told, Step)) >= 6) and of(told, Checkpoint):
            monkeypatch.setattr(checkpoint, "save", full)
        return is_over

    for event in base.run(base_config(), ctx, stop=stop, resume=None):
        told.append(event)
    assert told[-1] == End(reason="stopped")
    (alert,) = of(told, Alert)
    assert alert.code == "checkpoint-failed"
    assert "no checkpoint at step 6" in alert.message
    assert "goes on" in alert.message and "from step 4" in alert.message
    assert "training goes on" not in alert.message


def test_a_checkpoint_that_cannot_be_removed_costs_disk_and_not_the_training(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(checkpoints_dir: Path, step: int) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(checkpoint, "remove", failing)
    ctx = context(tmp_path, inputs)
    events = train(ctx, save_every=2, keep_checkpoints=1)
    assert of(events, Step)[-1].step == 12
    assert kept_steps(ctx) == [2, 4, 6, 8, 10, 12]


def test_validation_text_shorter_than_a_row_is_measured_whole(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    short = tmp_path / "data" / "corpus"
    short.mkdir(parents=True)
    counts = {"words": SourceCount(num_docs=201, num_chars=1)}
    val = ["a model reads", "and writes"]
    write_shards(short, train=texts(1, 200), val=val, sources={"words": "1"}, counts=counts)
    ctx = context(tmp_path, {**inputs, "corpus": Input(path=short, sha256="c")})
    events = train(ctx, num_iterations=2, eval_every=1)
    packed = [event.val_bpb for event in of(events, Eval)]
    other = context(tmp_path / "windows", {**inputs, "corpus": Input(path=short, sha256="c")})
    again = train(other, num_iterations=2, eval_every=1, eval_bytes=1000)
    # A model of two layers hardly minds that the second text stands behind the first.
    assert packed == pytest.approx([event.val_bpb for event in of(again, Eval)], rel=0.05)


def test_a_spike_whose_file_cannot_be_written_is_told_all_the_same(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wary(SpikeWatch):
        """Takes the fall of a young model for its level, and step 70 for its end."""

        def look(self, step: int, loss: float) -> Any:
            return super().look(step + 200, loss * (3 if step == 70 else 1))

    monkeypatch.setattr(loop, "SpikeWatch", Wary)
    # A file in the place of the directory: nothing can be written there.
    (tmp_path / "artifacts").touch()
    rare = {"save_every": None, "eval_every": None, "sample_every": None}
    events = train(context(tmp_path, inputs), num_iterations=72, **rare)
    (alert,) = of(events, Alert)
    assert alert.code == "loss-spike"
    assert "could not be written down" in alert.message
    assert of(events, Step)[-1].step == 72


def test_a_loss_that_is_not_finite_is_told_also_where_its_file_cannot_be_written(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    (tmp_path / "artifacts").touch()
    with pytest.raises(StageFailed, match=r"at step \d+; .*lower the learning rates") as caught:
        train(context(tmp_path, inputs), embedding_lr=1e30)
    assert "see artifacts" not in str(caught.value)
