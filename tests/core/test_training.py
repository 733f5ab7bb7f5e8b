"""Training: it learns, resumes bit for bit after kill -9, and two ranks train like one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core import checkpoint
from core.settings.training import ChatTrainConfig
from core.stages import base, mid, sft
from core.stages.context import CheckpointRef, Input
from runs.errors import Corrupt, NotFound, StageFailed, UsageError
from runs.events import Alert, Checkpoint, End, Eval, Event, Note, Progress, Sample, Step
from tests.core import train_base
from tests.core.builders import base_config, context, make_world
from tests.core.forked import start_ranks, wait_for_ranks


def run_process(root: Path, *, ranks: int = 1, **options: Any) -> dict[int, float]:
    """Train in processes of their own; return the loss of every step that the first rank told."""
    out = root / str(options.get("name", "base"))
    codes = wait_for_ranks(start_ranks(train_base.main, root, options, ranks=ranks, errors=out))
    errors = "".join(path.read_text() for path in out.glob("stderr.*.txt"))
    assert codes == [-9 if "kill_after" in options else 0] * ranks, errors
    lines = [json.loads(line) for line in (out / "told.0.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def weights(root: Path, name: str, step: int) -> Mapping[str, torch.Tensor]:
    path = checkpoint.step_dir(root / name / "checkpoints" / "base", step)
    model = checkpoint.load_model(path, device=torch.device("cpu"), dtype=torch.float32)
    return model.state_dict()


def losses(events: list[Event]) -> list[float]:
    return [event.metrics["loss"] for event in events if isinstance(event, Step)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make_world(root)
    return root


@pytest.fixture
def inputs(world: Path) -> dict[str, Input]:
    return {
        "corpus": Input(path=world / "data" / "corpus", sha256="c"),
        "tokenizer": Input(path=world / "tokenizer.json", sha256="t"),
        "conversations": Input(path=world / "data" / "conversations", sha256="d"),
    }


@pytest.fixture(scope="module")
def uninterrupted(world: Path) -> dict[int, float]:
    return run_process(world, name="whole")


def test_a_start_from_pairs_makes_the_first_steps_better_and_is_told(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    def events(name: str, **overrides: Any) -> list[Event]:
        config = base_config(num_iterations=2, **overrides)
        ctx = context(tmp_path / name, inputs, stage="base")
        return list(base.run(config, ctx, stop=lambda: False, resume=None))

    plain, started = events("plain"), events("started", pair_start_steps=20)

    assert losses(started)[0] < losses(plain)[0] - 1
    fitting = [event for event in started if isinstance(event, Progress) and "pairs" in event.label]
    assert fitting[-1].done == fitting[-1].total == 20


def test_a_stop_while_pairs_are_fitted_is_obeyed_before_the_fit_is_done(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    told: list[Event] = []

    def fitted() -> list[Event]:
        return [event for event in told if isinstance(event, Progress) and "pairs" in event.label]

    config = base_config(pair_start_steps=20)
    ctx = context(tmp_path, inputs)
    for event in base.run(config, ctx, stop=lambda: len(fitted()) >= 3, resume=None):
        told.append(event)
    assert told[-1] == End(reason="stopped")
    assert (len(fitted()), losses(told)) == (3, [])
    assert not list(ctx.checkpoints_dir.glob("*"))
    # Nothing was kept: the next attempt fits from the beginning.
    again = list(base.run(config, ctx, stop=lambda: False, resume=None))
    assert len(losses(again)) == 12


def test_a_start_from_pairs_takes_no_negative_steps() -> None:
    with pytest.raises(UsageError, match="pair_start_steps"):
        base_config(pair_start_steps=-1)


@pytest.mark.parametrize(
    "kill_after",
    [pytest.param(2, marks=pytest.mark.soak), 5, pytest.param(11, marks=pytest.mark.soak)],
)
def test_killed_run_resumes_with_bitwise_equal_losses_and_weights(
    world: Path, uninterrupted: dict[int, float], kill_after: int
) -> None:
    name = f"killed-{kill_after}"
    first = run_process(world, name=name, kill_after=kill_after)
    rest = run_process(world, name=name)
    assert {**first, **rest} == uninterrupted
    assert min(rest) == kill_after // 4 * 4 + 1
    whole, resumed = weights(world, "whole", 12), weights(world, name, 12)
    assert [key for key in whole if not torch.equal(whole[key], resumed[key])] == []


@pytest.mark.parametrize("ranks", [2, 3])
def test_several_ranks_train_like_one_that_accumulates_more(world: Path, ranks: int) -> None:
    alike = {"num_iterations": 12, "eval_every": 12, "total_batch_size": ranks * 64}
    one = run_process(world, name=f"one-of-{ranks}", **alike)
    several = run_process(world, name=f"all-{ranks}", ranks=ranks, **alike)
    assert list(one) == list(range(1, 13))
    assert several == pytest.approx(one, rel=1e-5)


def test_stopped_run_checkpoints_at_the_step_boundary_and_goes_on(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    ctx = context(tmp_path, inputs)
    events: list[Event] = []
    for event in base.run(base_config(), ctx, stop=lambda: len(losses(events)) >= 5, resume=None):
        events.append(event)
    assert events[-1] == End(reason="stopped")
    saved = [event for event in events if isinstance(event, Checkpoint)][-1]
    assert saved.step == 5
    ref = CheckpointRef(path=tmp_path / saved.path, step=5)
    rest = list(base.run(base_config(), ctx, stop=lambda: False, resume=ref))
    assert len(losses(rest)) == 7
    tokens = [e.metrics["tokens"] for e in (*events, *rest) if isinstance(e, Step)]
    assert tokens == [128.0 * step for step in range(1, 13)]


def test_a_stop_while_text_is_prepared_is_obeyed_before_all_of_it_is(tmp_path: Path) -> None:
    inputs = make_world(tmp_path)
    events = list(
        base.run(base_config(), context(tmp_path, inputs), stop=lambda: True, resume=None)
    )
    assert events[-1] == End(reason="stopped")
    (made,) = (tmp_path / "data" / "corpus").glob("tokens-*/*.lengths.npy")
    assert made.name == "shard_00001.parquet.lengths.npy"


def test_training_learns_and_checkpoints_before_it_measures(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    config = base_config(num_iterations=24, save_every=6)
    events = list(base.run(config, context(tmp_path, inputs), stop=lambda: False, resume=None))
    curve = losses(events)
    assert sum(curve[-4:]) < 0.9 * sum(curve[:4])
    kinds = [type(event) for event in events]
    last_save = max(i for i, kind in enumerate(kinds) if kind is Checkpoint)
    assert kinds[last_save:][:2] == [Checkpoint, Eval]
    assert kinds[-1] is Sample
    kept = sorted(path.parent.name for path in tmp_path.glob("checkpoints/base/*/COMMITTED"))
    assert kept == ["step_000018", "step_000024"]


def test_steps_tell_their_phases_and_what_came_between(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    config = base_config(num_iterations=5, save_every=2, eval_every=2)
    events = list(base.run(config, context(tmp_path, inputs), stop=lambda: False, resume=None))
    told = {event.step: event.metrics for event in events if isinstance(event, Step)}
    parts = ("time_data_s", "time_forward_backward_s", "time_optimizer_s", "time_sync_s")
    assert all(metrics[part] >= 0 for metrics in told.values() for part in parts)
    after = [step for step, metrics in told.items() if {"time_save_s", "time_eval_s"} <= {*metrics}]
    assert after == [3, 5]
    spans = [metrics["train_s"] for metrics in told.values()]
    # The parts are inside the step, and nearly all of it.
    spent = sum(told[step][part] for step in told for part in parts)
    assert 0.5 * spans[-1] < spent < spans[-1] + 0.001


def test_a_full_disk_costs_a_checkpoint_and_not_the_training(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_save = checkpoint.save

    def failing(*args: Any, **kwargs: Any) -> checkpoint.Saved:
        if args[3].step == 4:
            raise OSError(28, "No space left on device")
        return whole_save(*args, **kwargs)

    monkeypatch.setattr(checkpoint, "save", failing)
    events = list(
        base.run(base_config(), context(tmp_path, inputs), stop=lambda: False, resume=None)
    )
    alerts = [event for event in events if isinstance(event, Alert)]
    assert [alert.code for alert in alerts] == ["checkpoint-failed"]
    assert len(losses(events)) == 12


def test_a_checkpoint_that_was_cut_off_is_none(tmp_path: Path, inputs: dict[str, Input]) -> None:
    list(base.run(base_config(), context(tmp_path, inputs), stop=lambda: False, resume=None))
    path = checkpoint.step_dir(tmp_path / "checkpoints" / "base", 12)
    (path / checkpoint.COMMITTED).rename(path / "elsewhere")
    with pytest.raises(NotFound, match="not a committed checkpoint"):
        checkpoint.read_meta(path)


def test_a_flipped_byte_in_the_weights_is_corrupt(tmp_path: Path, inputs: dict[str, Input]) -> None:
    list(base.run(base_config(), context(tmp_path, inputs), stop=lambda: False, resume=None))
    path = checkpoint.step_dir(tmp_path / "checkpoints" / "base", 12)
    data = bytearray((path / checkpoint.MODEL_FILE).read_bytes())
    data[-1] ^= 1
    (path / checkpoint.MODEL_FILE).write_bytes(data)
    with pytest.raises(Corrupt, match="does not match its recorded hash"):
        checkpoint.load_model(path, device=torch.device("cpu"), dtype=torch.float32)


def test_resuming_with_other_settings_is_refused(tmp_path: Path, inputs: dict[str, Input]) -> None:
    ctx = context(tmp_path, inputs)
    list(base.run(base_config(), ctx, stop=lambda: False, resume=None))
    ref = CheckpointRef(path=checkpoint.step_dir(ctx.checkpoints_dir, 8), step=8)
    with pytest.raises(StageFailed, match="other settings"):
        list(base.run(base_config(matrix_lr=0.5), ctx, stop=lambda: False, resume=ref))


def test_a_run_that_was_planned_before_a_setting_existed_resumes(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    planned = replace(context(tmp_path, inputs), config_hash="as planned")
    list(base.run(base_config(), planned, stop=lambda: False, resume=None))
    ref = CheckpointRef(path=checkpoint.step_dir(planned.checkpoints_dir, 8), step=8)
    # The same plan; but settings that it did not name have come into being, with a default.
    rest = list(base.run(base_config(keep_best=False), planned, stop=lambda: False, resume=ref))
    assert len(losses(rest)) == 4
    other = replace(planned, config_hash="another plan")
    with pytest.raises(StageFailed, match="other settings"):
        list(base.run(base_config(), other, stop=lambda: False, resume=ref))


def test_a_loss_that_is_not_finite_stops_before_the_step(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    config = base_config(embedding_lr=1e30)
    with pytest.raises(StageFailed, match="at step"):
        list(base.run(config, context(tmp_path, inputs), stop=lambda: False, resume=None))


def test_a_batch_that_does_not_divide_is_a_usage_error(
    tmp_path: Path, inputs: dict[str, Input]
) -> None:
    with pytest.raises(UsageError, match="not a multiple of 32"):
        list(
            base.run(
                base_config(total_batch_size=100),
                context(tmp_path, inputs),
                stop=lambda: False,
                resume=None,
            )
        )


@pytest.fixture(scope="module")
def parent(world: Path) -> Input:
    """A base checkpoint to fine-tune."""
    run_process(world, name="parent")
    path = checkpoint.step_dir(world / "parent" / "checkpoints" / "base", 12)
    return Input(path=path, sha256="p")


def chat_config(**changes: Any) -> ChatTrainConfig:
    values: dict[str, Any] = {
        "device_batch_size": 2, "total_batch_size": 64, "dtype": "float32", "compile": "off",
        "eval_tokens": 256, "embedding_lr": 20.0, "matrix_lr": 1.0, "epochs": 3,
    }  # fmt: skip
    return ChatTrainConfig(**{**values, **changes})


def test_sft_continues_the_parent_and_learns(
    tmp_path: Path, inputs: dict[str, Input], parent: Input
) -> None:
    ctx = context(tmp_path, {**inputs, "checkpoint": parent}, stage="sft")
    curve = losses(list(sft.run(chat_config(), ctx, stop=lambda: False, resume=None)))
    assert curve[-1] < 0.9 * curve[0]


@pytest.mark.parametrize("stage", [mid, sft])
def test_stopped_chat_training_resumes_with_bitwise_equal_losses(
    tmp_path: Path, inputs: dict[str, Input], parent: Input, stage: Any
) -> None:
    config = chat_config(num_iterations=8, text_every=3)
    given = {**inputs, "checkpoint": parent}
    whole = list(stage.run(config, context(tmp_path / "a", given), stop=lambda: False, resume=None))
    ctx = context(tmp_path / "b", given)
    first: list[Event] = []
    for event in stage.run(config, ctx, stop=lambda: len(losses(first)) >= 3, resume=None):
        first.append(event)
    ref = CheckpointRef(path=checkpoint.step_dir(ctx.checkpoints_dir, 3), step=3)
    rest = list(stage.run(config, ctx, stop=lambda: False, resume=ref))
    assert losses([*first, *rest]) == losses(whole)


def test_without_a_compiler_training_runs_eager_and_says_why(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    events = list(
        base.run(
            base_config(compile="auto"),
            context(tmp_path, inputs),
            stop=lambda: False,
            resume=None,
        )
    )
    notes = [event.message for event in events if isinstance(event, Note)]
    assert notes[0].startswith("training runs eager: no C++ compiler")
    assert len(losses(events)) == 12


def test_compile_on_without_a_compiler_is_refused(
    tmp_path: Path, inputs: dict[str, Input], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no C\\+\\+ compiler"):
        list(
            base.run(
                base_config(compile="on"),
                context(tmp_path, inputs),
                stop=lambda: False,
                resume=None,
            )
        )
