"""The eval stages on a two-layer model: events, files, the base figure, stopping."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch

from core.data.shards import load_manifest
from core.data.token_cache import TokenCache, build_validation, open_validation
from core.evals.bpb import validation_bpb
from core.evals.samples import CONTINUATIONS, QUESTIONS, sample_events
from core.model import GPT
from core.settings.experiments import EvalConfig
from core.stages.context import Input, StageContext
from core.stages.evaluate import run
from core.tasks.registry import TASKS
from core.tokenizer import Tokenizer
from runs.errors import Corrupt, UsageError
from runs.events import Artifact, End, Eval, Event, Progress, Sample
from tests.core.builders import context, make_world, tiny_config
from tests.engine.builders import save_checkpoint

CONFIG = EvalConfig(num_items=2, max_new_tokens=6, batch_size=4, eval_tokens=128)
NUM_QUESTIONS = 2 * len(TASKS)
Found = TypeVar("Found", bound=Event)


@pytest.fixture
def world(tmp_path: Path) -> dict[str, Input]:
    """A corpus, a tokenizer, questions and the checkpoint of a two-layer model."""
    inputs = make_world(tmp_path)
    lines = [
        {"task": task, "messages": [{"role": "user", "content": f"{i}?"}], "answer": "1"}
        for task in TASKS
        for i in range(3)
    ]
    questions = inputs["conversations"].path / "test.jsonl"
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    tokenizer = tokenizer_of(inputs)
    directory = tmp_path / "checkpoints" / "base"
    saved = save_checkpoint(directory, fresh_model(tokenizer), tokenizer, "base")
    return {**inputs, "checkpoint": Input(path=saved, sha256="e" * 64)}


def tokenizer_of(inputs: Mapping[str, Input]) -> Tokenizer:
    return Tokenizer.from_file(inputs["tokenizer"].path)


def fresh_model(tokenizer: Tokenizer) -> GPT:
    model = GPT(tiny_config(vocab_size=tokenizer.vocab_size))
    model.init_weights(torch.Generator().manual_seed(0))
    return model


def events_of(
    ctx: StageContext, stop: Any = lambda: False, config: EvalConfig = CONFIG
) -> list[Event]:
    return list(run(config, ctx, stop=stop, resume=None))


def one(events: list[Event], kind: type[Found]) -> Found:
    (found,) = (event for event in events if isinstance(event, kind))
    return found


def test_eval_base_tells_figures_samples_and_files(tmp_path: Path, world: Any) -> None:
    events = events_of(context(tmp_path, world, stage="eval-base"))

    figures = one(events, Eval)
    assert figures.step == 12
    assert figures.checkpoint == "checkpoints/base/step_000012"
    assert figures.val_bpb is not None
    assert figures.val_bpb > 0
    assert figures.results is not None
    assert {task: entry["n"] for task, entry in figures.results.items()} == dict.fromkeys(TASKS, 2)
    assert all(entry["base"] == entry["accuracy"] for entry in figures.results.values())
    samples = [event.prompt for event in events if isinstance(event, Sample)]
    assert samples == list(CONTINUATIONS)
    progress = [event for event in events if isinstance(event, Progress)]
    assert (progress[-1].done, progress[-1].total) == (NUM_QUESTIONS, NUM_QUESTIONS)
    artifacts = {event.name: event for event in events if isinstance(event, Artifact)}
    assert artifacts["results"].path == "artifacts/eval-base/results.json"
    written = json.loads((tmp_path / artifacts["results"].path).read_text())
    assert written["results"] == figures.results
    assert written["val_bpb"] == figures.val_bpb
    items = (tmp_path / artifacts["items"].path).read_text().splitlines()
    assert len(items) == NUM_QUESTIONS
    assert {"task", "messages", "answer", "response", "is_correct"} <= set(json.loads(items[0]))


def test_later_stages_put_the_base_models_accuracy_beside_theirs(
    tmp_path: Path, world: dict[str, Input]
) -> None:
    base = tmp_path / "base.json"
    base.write_text(json.dumps({"results": {"arithmetic": {"accuracy": 0.25, "n": 2}}}))
    inputs = {**world, "results:eval-base": Input(path=base, sha256="f")}

    events = events_of(context(tmp_path, inputs, stage="eval-sft"))

    results = one(events, Eval).results
    assert results is not None
    assert results["arithmetic"]["base"] == 0.25
    assert "base" not in results["counting"]
    assert [event.prompt for event in events if isinstance(event, Sample)] == list(QUESTIONS)


def test_evaluating_twice_gives_the_same_files(tmp_path: Path, world: dict[str, Input]) -> None:
    ctx = context(tmp_path, world, stage="eval-base")

    hashes = [
        [event.sha256 for event in events_of(ctx) if isinstance(event, Artifact)] for _ in range(2)
    ]

    assert hashes[0] == hashes[1]


def test_a_stopped_evaluation_ends_without_figures(tmp_path: Path, world: Any) -> None:
    events = events_of(context(tmp_path, world, stage="eval-base"), stop=lambda: True)

    assert events[-1] == End(reason="stopped")
    assert not any(isinstance(event, Eval | Artifact) for event in events)


def test_other_ranks_leave_the_work_to_the_first(tmp_path: Path, world: Any) -> None:
    assert events_of(context(tmp_path, world, stage="eval-base", rank=1, world_size=2)) == []


def test_a_foreign_tokenizer_is_refused(tmp_path: Path, world: dict[str, Input]) -> None:
    path = tmp_path / "other.json"
    sha256 = Tokenizer(()).save(path)
    ctx = context(tmp_path, {**world, "tokenizer": Input(path=path, sha256=sha256)})

    with pytest.raises(UsageError, match="another tokenizer"):
        events_of(replace(ctx, stage="eval-base"))


def test_unreadable_base_results_are_named(tmp_path: Path, world: dict[str, Input]) -> None:
    broken = tmp_path / "base.json"
    broken.write_text("{}")
    inputs = {**world, "results:eval-base": Input(path=broken, sha256="f")}

    with pytest.raises(Corrupt, match=r"base\.json"):
        events_of(context(tmp_path, inputs, stage="eval-mid"))


def test_validation_bpb_is_the_same_for_any_batch_size(world: dict[str, Input]) -> None:
    tokenizer = tokenizer_of(world)
    corpus = world["corpus"].path
    cache = TokenCache(corpus_dir=corpus, tokenizer=tokenizer)
    list(build_validation(cache))
    split = open_validation(cache)
    model = fresh_model(tokenizer)

    figures = [
        validation_bpb(model, tokenizer, split, num_tokens=256, batch_size=size) for size in (1, 8)
    ]

    assert figures[0] == pytest.approx(figures[1], rel=1e-6)


def test_bpb_of_whole_documents_counts_their_bytes_and_names_its_text(
    tmp_path: Path, world: dict[str, Input]
) -> None:
    tokenizer = tokenizer_of(world)
    corpus = world["corpus"].path
    cache = TokenCache(corpus_dir=corpus, tokenizer=tokenizer)
    list(build_validation(cache))
    split = open_validation(cache)
    model = fresh_model(tokenizer)
    with torch.no_grad():
        model.head.weight.zero_()

    measured = validation_bpb(
        model, tokenizer, split, num_tokens=1, batch_size=4, num_bytes=1_000_000
    )

    lengths = tokenizer.token_bytes_lengths()[split.arrays[0]]
    num_text_tokens, num_bytes = int((lengths > 0).sum()), int(lengths.sum())
    assert measured == pytest.approx(
        num_text_tokens * math.log2(tokenizer.vocab_size) / num_bytes, rel=1e-6
    )
    ctx = context(tmp_path, world, stage="eval-base")
    figures = one(events_of(ctx, config=replace(CONFIG, eval_bytes=500)), Eval)
    assert figures.val_sha256 != load_manifest(corpus).val_sha256


def test_samples_of_a_model_with_few_positions_are_cut_to_fit(world: dict[str, Input]) -> None:
    tokenizer = tokenizer_of(world)
    for sequence_len, num_samples in ((6, len(QUESTIONS)), (1, 0)):
        config = tiny_config(vocab_size=tokenizer.vocab_size, sequence_len=sequence_len)
        model = GPT(config)
        model.init_weights(torch.Generator().manual_seed(0))
        samples = list(sample_events(model, tokenizer, step=3, is_chat=True))
        assert len(samples) == num_samples
