"""What happens around a step: what is kept, what is told, and what a crash cannot take."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import namedtuple
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import pytest
import torch

from core import checkpoint
from core.data.packing import PackedRows
from core.data.reading import find_cache, find_text
from core.data.token_cache import open_shards
from core.data.tokens import TokenSplit
from core.evals.samples import CONTINUATION_TOKENS, CONTINUATIONS
from core.model import GPT
from core.stages import base
from core.stages.context import CheckpointRef, Input, StageContext
from core.tokenizer import Tokenizer
from core.train import loop
from core.train.saving import EXTRA_BYTES, MEASURED_FILE
from core.train.spikes import SpikeWatch
from runs.errors import StageFailed
from runs.events import Alert, Artifact, Checkpoint, Eval, Event, Progress, Sample, Step
from tests.core.builders import base_config, context, make_world

Disk = namedtuple("Disk", "total used free")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Input]:
    return make_world(tmp_path_factory.mktemp("world"))


def train(ctx: StageContext, *, resume: CheckpointRef | None = None, **fields: Any) -> list[Event]:
    config = base_config(**fields)
    return list(base.run(config, ctx, stop=lambda: False, resume=resume))


def of(events: list[Event], kind: type[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def kept_steps(ctx: StageContext) -> list[int]:
    return list(checkpoint.committed_steps(ctx.checkpoints_dir))


def test_a_crash_in_an_evaluation_loses_no_step(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: object, **kwargs: object) -> float:
        raise MemoryError

    monkeypatch.setattr(loop, "validation_bpb", crash)
    ctx = context(tmp_path, inputs)
    events = base.run(base_config(eval_every=4), ctx, stop=lambda: False, resume=None)
    told: list[Event] = []
    with pytest.raises(MemoryError):
        told.extend(events)
    assert [event.step for event in of(told, Step)] == [1, 2, 3, 4]
    assert kept_steps(ctx) == [4]
    monkeypatch.undo()
    ref = CheckpointRef(path=checkpoint.step_dir(ctx.checkpoints_dir, 4), step=4)
    rest = train(ctx, resume=ref, eval_every=4)
    assert [event.step for event in of(rest, Eval)] == [4, 8, 12]


def test_numbers_that_are_read_a_step_later_are_the_same_and_nothing_is_lost(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = train(context(tmp_path / "now", inputs), num_iterations=9)
    monkeypatch.setattr(loop, "runs_ahead", lambda device: True)
    late = train(context(tmp_path / "later", inputs), num_iterations=9)
    # The first of them may have made the tokens, too.
    kinds = [
        [type(event) for event in events if type(event) is not Progress] for events in (known, late)
    ]
    assert kinds[0] == kinds[1]
    for one, other in zip(of(known, Step), of(late, Step), strict=True):
        assert (one.step, one.metrics["loss"], one.metrics["grad_norm"]) == (
            other.step, other.metrics["loss"], other.metrics["grad_norm"],
        )  # fmt: skip
    assert [event.val_bpb for event in of(known, Eval)] == [e.val_bpb for e in of(late, Eval)]


def test_a_stop_is_obeyed_also_when_numbers_are_read_a_step_later(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "runs_ahead", lambda device: True)
    ctx = context(tmp_path, inputs)
    told: list[Event] = []
    for event in base.run(base_config(), ctx, stop=lambda: len(of(told, Step)) >= 5, resume=None):
        told.append(event)
    steps = [event.step for event in of(told, Step)]
    assert steps == list(range(1, len(steps) + 1))
    assert of(told, Checkpoint)[-1].step == steps[-1] <= 7


def test_steps_tell_the_smoothed_loss_the_memory_and_the_time_left(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    events = train(context(tmp_path, inputs), num_iterations=14)
    metrics = [event.metrics for event in of(events, Step)]
    assert ["eta_s" in told for told in metrics] == [False] * 10 + [True] * 4
    assert metrics[-1]["eta_s"] == 0.0
    assert metrics[0]["loss_ema"] == pytest.approx(metrics[0]["loss"], abs=1e-6)
    assert metrics[-1]["loss"] < metrics[-1]["loss_ema"] < metrics[0]["loss"]
    sizes = [told["peak_memory_bytes"] for told in metrics]
    assert sizes == sorted(sizes)
    assert sizes[0] > 50e6


def test_a_resume_goes_on_with_the_smoothed_loss(tmp_path: Path, inputs: dict[str, Input]) -> None:
    ctx = context(tmp_path, inputs)
    whole = of(train(ctx), Step)
    ref = CheckpointRef(path=checkpoint.step_dir(ctx.checkpoints_dir, 8), step=8)
    rest = of(train(ctx, resume=ref), Step)
    assert [event.metrics["loss_ema"] for event in rest] == [
        event.metrics["loss_ema"] for event in whole[8:]
    ]


def test_none_leaves_everything_to_the_last_step(tmp_path: Path, inputs: dict[str, Input]) -> None:
    ctx = context(tmp_path, inputs)
    events = train(ctx, num_iterations=5, save_every="none", eval_every=None, sample_every="none")
    around = [event for event in events if isinstance(event, Checkpoint | Eval | Sample)]
    assert {event.step for event in around} == {5}
    samples = of(events, Sample)
    assert [event.prompt for event in samples] == list(CONTINUATIONS)
    assert len(samples) == 7
    assert {event.settings["max_new_tokens"] for event in samples} == {CONTINUATION_TOKENS} == {16}


@pytest.mark.parametrize("is_ahead", [False, True])
@pytest.mark.parametrize(
    ("steps", "intervals"), [(1, (1, 1, 1)), (2, (3, 2, 5)), (5, (2, 3, 7)), (7, (7, 2, 3))]
)
def test_each_thing_is_done_at_its_steps_and_at_the_last_whatever_the_intervals(
    tmp_path: Path,
    inputs: dict[str, Input],
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    intervals: tuple[int, int, int],
    is_ahead: bool,
) -> None:
    monkeypatch.setattr(loop, "runs_ahead", lambda device: is_ahead)
    save, measure, sample = intervals
    events = train(
        context(tmp_path, inputs), num_iterations=steps, save_every=save, eval_every=measure,
        sample_every=sample, warmup_ratio=0.3, weight_decay=0.1,
    )  # fmt: skip
    assert [event.step for event in of(events, Step)] == list(range(1, steps + 1))
    for kind, every in ((Checkpoint, save), (Eval, measure), (Sample, sample)):
        due = [step for step in range(1, steps + 1) if step % every == 0 or step == steps]
        assert list(dict.fromkeys(event.step for event in of(events, kind))) == due


def test_the_best_checkpoint_outlives_the_newest_ones(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([2.5, 2.0, 2.2, 2.3, 2.1, 2.4])
    monkeypatch.setattr(loop, "validation_bpb", lambda *args, **kwargs: next(measured))
    ctx = context(tmp_path, inputs)
    train(ctx, num_iterations=12, save_every=2, eval_every=2, keep_checkpoints=2)
    assert kept_steps(ctx) == [4, 10, 12]
    body = json.loads((ctx.checkpoints_dir / MEASURED_FILE).read_text())
    assert body["val_bpb"]["4"] == 2.0


def test_a_budget_leaves_the_best_and_the_newest(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([2.0, 2.5, 2.2, 2.3])
    monkeypatch.setattr(loop, "validation_bpb", lambda *args, **kwargs: next(measured))
    sized = context(tmp_path / "sized", inputs)
    train(sized, num_iterations=1, save_every=1, eval_every=None)
    size = checkpoint.committed_steps(sized.checkpoints_dir)[1]
    ctx = context(tmp_path / "budget", inputs)
    measured = iter([2.0, 2.5, 2.2, 2.3])
    train(
        ctx, num_iterations=8, save_every=2, eval_every=2, keep_checkpoints=4,
        checkpoint_budget_gb=2.5 * size / 1e9,
    )  # fmt: skip
    assert kept_steps(ctx) == [2, 8]


def test_a_nearly_full_disk_gives_up_an_old_checkpoint_or_the_new_one_and_says_so(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = context(tmp_path, inputs)

    def usage(path: Path) -> Disk:
        sizes = checkpoint.committed_steps(path)
        # Step 8 finds no room at all, step 10 half of it, step 12 all that it wants.
        free = {0: 0, 1: EXTRA_BYTES + sizes[6] // 2} if 6 in sizes else {}
        return Disk(0, 0, free.get(next(asked) - 3, 10**9))

    asked = count()
    monkeypatch.setattr(shutil, "disk_usage", usage)
    events = train(ctx, save_every=2, eval_every=None, keep_checkpoints=3)
    told = [(alert.code, alert.message) for alert in of(events, Alert)]
    assert [code for code, _ in told] == ["checkpoint-failed", "checkpoint-removed"]
    assert "no checkpoint at step 8" in told[0][1]
    assert "the checkpoints of steps 2 made room" in told[1][1]
    assert kept_steps(ctx)[-1] == 12


@pytest.mark.parametrize("is_ahead", [False, True])
def test_the_documents_that_break_the_numbers_are_named(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch, is_ahead: bool
) -> None:
    monkeypatch.setattr(loop, "runs_ahead", lambda device: is_ahead)
    ctx = context(tmp_path, inputs)
    train(ctx, num_iterations=12)
    split, token = rare_token(inputs, ctx)
    whole = checkpoint.load_model

    def poisoned(*args: Any, **kwargs: Any) -> GPT:
        model = whole(*args, **kwargs)
        with torch.no_grad():
            model.wte.weight[token] = torch.nan
        return model

    monkeypatch.setattr(checkpoint, "load_model", poisoned)
    ref = CheckpointRef(path=checkpoint.step_dir(ctx.checkpoints_dir, 8), step=8)
    told: list[Event] = []
    with pytest.raises(StageFailed) as failed:
        told.extend(base.run(base_config(), ctx, stop=lambda: False, resume=ref))
    artifact = of(told, Artifact)[0]
    report = json.loads((tmp_path / artifact.path).read_text())
    rows = {row["row"]: row["documents"] for row in report["rows"]}
    broken = {
        row
        for row, documents in rows.items()
        if any(token in tokens_of(split, one) for one in documents)
    }
    assert 0 < len(broken) < len(rows) == 4
    assert set(report["breaking_rows"]) == broken
    message = str(failed.value)
    first = rows[min(broken)][0]
    assert f"document {first['document']} of {first['shard']}" in message
    assert artifact.path in message
    assert f"at step {report['step']};" in message


def tokens_of(split: TokenSplit, ref: dict[str, Any]) -> list[int]:
    # The training text of this world is one shard.
    return list(split.document(ref["document"], ref["length"], ref["start"])[0])


def rare_token(inputs: dict[str, Input], ctx: StageContext) -> tuple[TokenSplit, int]:
    """Return the training text, and a token that only some rows of a step hold after step 8."""
    tokenizer = Tokenizer.from_file(inputs["tokenizer"].path)
    cache = find_cache(ctx, tokenizer)
    text = find_text(ctx, cache, "disk")
    split = open_shards(cache, text.parts[0])
    rows = PackedRows(split, row_len=32, pad=tokenizer.bos, seed=42, crop=True)
    seen = [set(rows.row(row)[0].tolist()) for row in range(32, 48)]
    for token in set.union(*seen):
        holds = [token in row for row in seen]
        first = holds.index(True) // 4 * 4
        if 0 < sum(holds[first : first + 4]) < 4:
            return split, int(token)
    raise AssertionError("every token of this text is in every row")


class Wary(SpikeWatch):
    """Takes the fall of a young model for its level, and sees losses of others in two steps."""

    def look(self, step: int, loss: float) -> Any:
        return super().look(step + 200, loss * (3 if step in (80, 88) else 1))


def test_a_loss_spike_names_the_file_that_holds_the_documents_of_its_batch(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SpikeWatch", Wary)
    events = train(
        context(tmp_path, inputs), num_iterations=82, save_every=None, eval_every=None,
        sample_every=None,
    )  # fmt: skip
    alerts = of(events, Alert)
    assert [alert.code for alert in alerts] == ["loss-spike"]
    artifact = of(events, Artifact)[0]
    assert artifact.path in alerts[0].message
    report = json.loads((tmp_path / artifact.path).read_text())
    assert report["step"] == 80
    assert [row["row"] for row in report["rows"]] == [316, 317, 318, 319]
    assert all(one["shard"] for row in report["rows"] for one in row["documents"])
    assert len(report["losses_before"]) == 64
    # Two steps were left; each was added to the file, and announced.
    assert report["losses_after"] == [one.metrics["loss"] for one in of(events, Step)[80:]]
    assert [one.name for one in of(events, Artifact)].count("batch-80") == 3
    digest = hashlib.sha256((tmp_path / artifact.path).read_bytes()).hexdigest()
    assert of(events, Artifact)[-1].sha256 == digest


def test_an_attempt_after_a_kill_adds_what_the_file_of_a_spike_still_lacks(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SpikeWatch", Wary)
    few: dict[str, Any] = {"num_iterations": 90, "eval_every": None, "sample_every": None}
    ctx = context(tmp_path, inputs)
    events = base.run(base_config(save_every=79, **few), ctx, stop=lambda: False, resume=None)
    told = list(takewhile(lambda event: getattr(event, "step", None) != 83, events))
    # The generator is never run again, as after a kill: the file has two of the losses.
    path = ctx.artifacts_dir / "batch-80.json"
    assert len(json.loads(path.read_text())["losses_after"]) == 2
    ref = CheckpointRef(path=checkpoint.step_dir(ctx.checkpoints_dir, 79), step=79)
    rest = train(ctx, resume=ref, save_every=79, **few)
    # The step of the spike is made again, and told again, with a file that is begun anew.
    assert of(rest, Alert) == of(told, Alert)
    losses = [one.metrics["loss"] for one in of(rest, Step)]
    report = json.loads(path.read_text())
    assert report["losses_after"] == losses[1:9]
    assert report["losses_after"][:2] == [one.metrics["loss"] for one in of(told, Step)[80:82]]
    assert len(report["losses_before"]) == 64
    assert [one.name for one in of(rest, Artifact)].count("batch-80") == 9


@pytest.mark.parametrize("stopped_after", [79, 83])
def test_a_resumed_run_tells_the_alerts_of_an_uninterrupted_one(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch, stopped_after: int
) -> None:
    monkeypatch.setattr(loop, "SpikeWatch", Wary)
    config = base_config(num_iterations=92, save_every=None, eval_every=None, sample_every=None)
    whole = list(base.run(config, context(tmp_path / "w", inputs), stop=lambda: False, resume=None))
    ctx, told = context(tmp_path / "cut", inputs), list[Event]()

    def is_stopping() -> bool:
        return len(of(told, Step)) >= stopped_after

    for event in base.run(config, ctx, stop=is_stopping, resume=None):
        told.append(event)
    path = checkpoint.step_dir(ctx.checkpoints_dir, stopped_after)
    ref = CheckpointRef(path=path, step=stopped_after)
    told += base.run(config, ctx, stop=lambda: False, resume=ref)
    assert [event.step for event in of(told, Step)] == list(range(1, 93))
    # The second high loss is near the first: it is of the same trouble.
    assert [alert.code for alert in of(whole, Alert)] == ["loss-spike"]
    assert of(told, Alert) == of(whole, Alert)
    name = "artifacts/base/batch-80.json"
    assert (tmp_path / "cut" / name).read_text() == (tmp_path / "w" / name).read_text()


def test_a_checkpoint_from_before_its_losses_were_kept_resumes(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    ctx = context(tmp_path, inputs)
    whole = of(train(ctx), Step)
    path = checkpoint.step_dir(ctx.checkpoints_dir, 8)
    body = json.loads((path / checkpoint.META_FILE).read_text())
    del body["spikes"]
    (path / checkpoint.META_FILE).write_text(json.dumps(body))
    hashes = json.loads((path / checkpoint.COMMITTED).read_text())
    hashes[checkpoint.META_FILE] = hashlib.sha256(
        (path / checkpoint.META_FILE).read_bytes()
    ).hexdigest()
    (path / checkpoint.COMMITTED).write_text(json.dumps(hashes))
    rest = of(train(ctx, resume=CheckpointRef(path=path, step=8)), Step)
    assert [event.metrics["loss"] for event in rest] == [
        event.metrics["loss"] for event in whole[8:]
    ]


@pytest.mark.parametrize("when", ["before the spike", "after the spike"])
def test_a_folder_that_cannot_be_written_to_ends_no_training(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(loop, "SpikeWatch", Wary)
    ctx = context(tmp_path, inputs)
    config = base_config(num_iterations=84, save_every=None, eval_every=None, sample_every=None)
    told: list[Event] = []
    for event in base.run(config, ctx, stop=lambda: False, resume=None):
        told.append(event)
        step = 79 if when == "before the spike" else 81
        if isinstance(event, Step) and event.step == step:
            shutil.rmtree(ctx.artifacts_dir, ignore_errors=True)
            # A file in its place: not even root can write into that.
            ctx.artifacts_dir.parent.mkdir(exist_ok=True)
            ctx.artifacts_dir.write_text("")
    assert of(told, Step)[-1].step == 84
    (alert,) = of(told, Alert)
    assert alert.code == "loss-spike"
    is_lost = when == "before the spike"
    assert ("could not be written down" in alert.message) == is_lost
    assert [one.name for one in of(told, Artifact)].count("batch-80") == (0 if is_lost else 1)
