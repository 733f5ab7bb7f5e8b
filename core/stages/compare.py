"""The `compare` stage: several models answer the same prompts; where they part is measured.

Answers are put on disk batch by batch. A resumed attempt keeps the whole batches and goes on
after them, so that its answers are byte for byte those of an undisturbed run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core import checkpoint
from core.chat_format import prompt_ids
from core.device import inference_dtype, pick_device
from core.engine.engine import Engine
from core.experiments.compare.answering import answer_batch, request_for
from core.experiments.compare.answers import (
    ANSWERS_FILE,
    PAIRS_FILE,
    RESULTS_FILE,
    TIMES_FILE,
    Answer,
    Asked,
    Cell,
    figures_of,
    figures_row,
    make_cells,
    pair_groups,
    read_answers,
    read_asked,
    read_times,
)
from core.experiments.compare.pairs import Said, pairs_of
from core.files import sync_path
from core.settings.experiments import CompareConfig
from core.stages.artifacts import write_artifact
from core.stages.context import CheckpointRef, StageContext
from core.tokenizer import Tokenizer
from runs.errors import UsageError
from runs.events import End, Event, Note, Progress


def run(
    config: CompareConfig,
    ctx: StageContext,
    *,
    stop: Callable[[], bool],
    resume: CheckpointRef | None,
) -> Iterator[Event]:
    """Answer, then compare; a resumed attempt continues after the last whole batch."""
    if ctx.rank != 0:
        return
    asked = read_asked(ctx.input("asked").path)
    models = _Models(config, ctx)
    cells = make_cells(config, asked)
    kept = _keep_batches(ctx.artifacts_dir, cells, config.batch_size)
    if kept:
        yield Note(message=f"goes on after {kept} answers")
    yield Progress(done=kept, total=len(cells), unit="answers", label="answering")
    for start in _starts(cells, config.batch_size):
        if stop():
            yield End(reason="stopped")
            return
        if start >= kept:
            batch = cells[start : _end(cells, start, config.batch_size)]
            _write_batch(ctx.artifacts_dir, models, asked, batch)
            done = start + len(batch)
            yield Progress(done=done, total=len(cells), unit="answers", label="answering")
    answers = read_answers(ctx.artifacts_dir / ANSWERS_FILE)
    lines: list[str] = []
    for number, prompt in enumerate(asked.prompts):
        if stop():
            yield End(reason="stopped")
            return
        yield Progress(done=number, total=len(asked.prompts), unit="prompts", label="pairing")
        lines += _pair_lines(models, [one for one in answers if one.cell.prompt == prompt])
    yield from _outcome(ctx, asked, answers, lines)


class _Models:
    """The models of a comparison, each loaded when it is first needed."""

    def __init__(self, config: CompareConfig, ctx: StageContext) -> None:
        self.config = config
        self._ctx = ctx
        self._loaded: dict[str, tuple[Engine, bool]] = {}

    def get(self, key: str) -> tuple[Engine, bool]:
        """Return an engine, and whether it is a base model, which continues texts."""
        if key not in self._loaded:
            self._loaded[key] = self._load(key)
        return self._loaded[key]

    def _load(self, key: str) -> tuple[Engine, bool]:
        given = self._ctx.input(f"checkpoint:{key}")
        tokenizer = Tokenizer.from_file(self._ctx.input(f"tokenizer:{key}").path)
        meta = checkpoint.read_meta(given.path)
        if meta.tokenizer_sha256 != tokenizer.hash:
            raise UsageError(
                f"checkpoint {given.path} was trained with another tokenizer; name its own"
            )
        device = pick_device(self._ctx.device)
        dtype = inference_dtype(self.config.dtype, device)
        model = checkpoint.load_model(given.path, device=device, dtype=dtype)
        engine = Engine(model, tokenizer, is_deterministic=True, max_rows=self.config.batch_size)
        return engine, meta.stage == "base"


def _starts(cells: Sequence[Cell], batch_size: int) -> Iterator[int]:
    """Yield where each batch begins; a batch is of one model."""
    start = 0
    while start < len(cells):
        yield start
        start = _end(cells, start, batch_size)


def _end(cells: Sequence[Cell], start: int, batch_size: int) -> int:
    end = start
    while end < len(cells) and end - start < batch_size and cells[end].key == cells[start].key:
        end += 1
    return end


def _keep_batches(directory: Path, cells: Sequence[Cell], batch_size: int) -> int:
    """Cut what an earlier attempt wrote back to whole batches; return how many answers stay."""
    answers_path, times_path = directory / ANSWERS_FILE, directory / TIMES_FILE
    answers, times = read_answers(answers_path), read_times(times_path)
    num_both = min(len(answers), len(times))
    kept = max(start for start in [*_starts(cells, batch_size), len(cells)] if start <= num_both)
    if [one.cell for one in answers[:kept]] != cells[:kept]:
        raise UsageError(f"{answers_path} answers other questions; start the comparison again")
    for path in (answers_path, times_path):
        if path.is_file():
            lines = path.read_bytes().split(b"\n")
            os.truncate(path, sum(len(line) + 1 for line in lines[:kept]))
    return kept


def _write_batch(directory: Path, models: _Models, asked: Asked, batch: Sequence[Cell]) -> None:
    engine, is_base = models.get(batch[0].key)
    requests = [request_for(engine, models.config, cell, is_base=is_base) for cell in batch]
    done = answer_batch(engine, batch, requests)
    name = asked.models[batch[0].key]
    answers = b"".join(answer.to_line(name) for answer, _ in done)
    times = b"".join(json.dumps(asdict(taken)).encode() + b"\n" for _, taken in done)
    # Times first: an answer counts once both are there.
    for file_name, data in ((TIMES_FILE, times), (ANSWERS_FILE, answers)):
        path = directory / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as stream:
            stream.write(data)
        sync_path(path)


def _pair_lines(models: _Models, answers: Sequence[Answer]) -> list[str]:
    """Return every two answers to one prompt, as lines of JSON."""
    said = [_said(models, answer) for answer in answers]
    return [
        json.dumps(
            {
                "v": 1,
                "prompt": answers[first].cell.prompt,
                "a": _place(answers[first]),
                "b": _place(answers[second]),
                **pair.as_row(),
            },
            ensure_ascii=False,
        )
        for first, second, pair in pairs_of(said)
    ]


def _said(models: _Models, answer: Answer) -> Said:
    engine, is_base = models.get(answer.cell.key)
    return Said(
        engine.model,
        engine.tokenizer,
        prompt_ids=prompt_ids(engine.tokenizer, answer.cell.prompt, is_base=is_base),
        ids=answer.ids,
        text=answer.shown,
    )


def _place(answer: Answer) -> dict[str, Any]:
    cell = answer.cell
    return {"key": cell.key, "temperature": cell.temperature, "seed": cell.seed}


def _outcome(
    ctx: StageContext, asked: Asked, answers: Sequence[Answer], lines: Sequence[str]
) -> Iterator[Event]:
    times = read_times(ctx.artifacts_dir / TIMES_FILE)
    body = {
        "v": 1,
        "models": asked.models,
        "num_prompts": len(asked.prompts),
        "settings": [figures_row(one, asked.models) for one in figures_of(answers, times)],
        "pairs": pair_groups(map(json.loads, lines), asked.models),
    }
    for name, file_name in (("answers", ANSWERS_FILE), ("times", TIMES_FILE)):
        # Written already; once more as a whole, so that its hash is that of what is announced.
        text = (ctx.artifacts_dir / file_name).read_text(encoding="utf-8")
        yield write_artifact(ctx, file_name, text, name=name)
    yield write_artifact(ctx, PAIRS_FILE, "".join(f"{line}\n" for line in lines), name="pairs")
    yield write_artifact(ctx, RESULTS_FILE, json.dumps(body, indent=1) + "\n", name="results")
