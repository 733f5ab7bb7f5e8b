"""The `eval-*` stages: bits per byte, graded skills and samples of the model just trained.

The base model does not know the chat format. It is asked in it all the same, and marked by the
same rule, so that the figures of all stages can be put side by side.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import checkpoint
from core.data.shards import load_manifest
from core.data.token_cache import TokenCache, build_validation, open_validation
from core.device import inference_dtype, pick_device
from core.engine.engine import Engine
from core.evals.bpb import measured_text, validation_bpb
from core.evals.samples import sample_events
from core.evals.skills import Marked, ask, load_items, score
from core.settings.experiments import EvalConfig
from core.stages.artifacts import write_artifact
from core.stages.context import CheckpointRef, StageContext
from core.tokenizer import Tokenizer
from runs.errors import Corrupt, UsageError
from runs.events import End, Eval, Event, Progress

# Rows per forward pass of bits per byte: logits are rows x length x vocabulary in float32.
BPB_ROWS = 8
BASE_RESULTS = "results:eval-base"
Results = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The model under test."""

    engine: Engine
    step: int
    checkpoint: str
    checkpoint_sha256: str


def run(
    config: EvalConfig,
    ctx: StageContext,
    *,
    stop: Callable[[], bool],
    resume: CheckpointRef | None,
) -> Iterator[Event]:
    """Measure the checkpoint that the plan hands over; it starts over when it is resumed."""
    if ctx.rank != 0:
        return
    corpus = ctx.input("corpus").path
    subject = load_subject(config, ctx)
    model, tokenizer = subject.engine.model, subject.engine.tokenizer
    cache = TokenCache(corpus_dir=corpus, tokenizer=tokenizer)
    yield from build_validation(cache)
    items = load_items(ctx.input("conversations").path, per_task=config.num_items)
    yield Progress(done=0, total=len(items), unit="questions", label="bits per byte")
    val_bpb = validation_bpb(
        model,
        tokenizer,
        open_validation(cache),
        num_tokens=config.eval_tokens,
        num_bytes=config.eval_bytes,
        batch_size=BPB_ROWS,
        stop=stop,
    )
    marked: list[Marked] = []
    batches = ask(
        subject.engine,
        items,
        max_new_tokens=config.max_new_tokens,
        batch_size=config.batch_size,
    )
    while not stop() and (batch := next(batches, None)) is not None:
        marked += batch
        yield Progress(done=len(marked), total=len(items), unit="questions", label="skills")
    if len(marked) < len(items):
        yield End(reason="stopped")
        return
    figures = Eval(
        step=subject.step,
        val_bpb=val_bpb,
        val_sha256=measured_text(load_manifest(corpus).val_sha256, config.eval_bytes),
        results=with_base(score(marked), ctx),
        checkpoint=subject.checkpoint,
    )
    yield figures
    yield from sample_events(model, tokenizer, step=subject.step, is_chat=ctx.stage != "eval-base")
    yield from _artifacts(ctx, subject, figures, marked)


def _artifacts(
    ctx: StageContext, subject: Subject, figures: Eval, marked: Sequence[Marked]
) -> Iterator[Event]:
    yield write_artifact(ctx, "items.jsonl", items_text(marked), name="items")
    body = {
        "v": 1,
        "stage": ctx.stage,
        "step": figures.step,
        "checkpoint": figures.checkpoint,
        "checkpoint_sha256": subject.checkpoint_sha256,
        "val_bpb": figures.val_bpb,
        "val_sha256": figures.val_sha256,
        "results": figures.results,
        "items": "items.jsonl",
    }
    yield write_artifact(ctx, "results.json", json.dumps(body, indent=1) + "\n", name="results")


def load_subject(config: EvalConfig, ctx: StageContext) -> Subject:
    """Return the checkpoint as an engine; UsageError when the tokenizer is not its own."""
    given = ctx.input("checkpoint")
    tokenizer = Tokenizer.from_file(ctx.input("tokenizer").path)
    meta = checkpoint.read_meta(given.path)
    if meta.tokenizer_sha256 != tokenizer.hash:
        raise UsageError(
            f"checkpoint {given.path} was trained with another tokenizer; name its own"
        )
    device = pick_device(ctx.device)
    dtype = inference_dtype(config.dtype, device)
    model = checkpoint.load_model(given.path, device=device, dtype=dtype)
    return Subject(
        engine=Engine(model, tokenizer, is_deterministic=True, max_rows=config.batch_size),
        step=meta.step,
        checkpoint=ctx.relative(given.path),
        checkpoint_sha256=given.sha256,
    )


def with_base(results: Results, ctx: StageContext) -> Results:
    """Return results with the base model's accuracy beside each, where it was measured."""
    if ctx.stage == "eval-base":
        return {task: {**entry, "base": entry["accuracy"]} for task, entry in results.items()}
    if BASE_RESULTS not in ctx.inputs:
        return results
    base = read_results(ctx.input(BASE_RESULTS).path)
    return {
        task: {**entry, "base": base[task]["accuracy"]} if task in base else entry
        for task, entry in results.items()
    }


def read_results(path: Path) -> Mapping[str, Mapping[str, float]]:
    """Return the task results in a results.json, or raise Corrupt."""
    try:
        results = json.loads(path.read_bytes())["results"]
        return {task: {"accuracy": float(entry["accuracy"])} for task, entry in results.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise Corrupt(f"{path} holds no readable results; run that eval stage again") from None


def items_text(marked: Sequence[Marked]) -> str:
    """Return every question with the model's answer, one JSON object per line."""
    ordered = sorted(marked, key=lambda one: one.item.number)
    return "".join(json.dumps(_item_row(one), ensure_ascii=False) + "\n" for one in ordered)


def _item_row(one: Marked) -> dict[str, Any]:
    return {
        "task": one.item.task,
        "messages": list(one.item.messages),
        "answer": one.item.answer,
        "response": one.completion.text,
        "parts": [{"type": part.type, "text": part.text} for part in one.completion.parts],
        "num_tokens": len(one.completion.ids),
        "finish": one.completion.finish,
        "is_correct": one.is_correct,
    }
