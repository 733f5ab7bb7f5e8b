"""Answers that a person keeps: a directory of its own among the generations of the lab home.

The files are those of a comparison (core/experiments/compare/answers.py), so that what reads one
reads the other; arena.json holds how each answer was drawn.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from core.experiments.compare import answers as files
from runs.errors import LabError, UsageError
from runs.files import write_synced
from runs.ids import new_ulid
from runs.paths import LabHome
from tui.answering.answers import Answer
from tui.answering.columns import Lane


def save_answers(home: LabHome, lanes: Sequence[Lane]) -> Path:
    """Write the whole answers of lanes that were asked the same; return their directory.

    Raises:
        UsageError: there is no whole answer.
        LabError: the place cannot be written to.
    """
    kept = [(lane, lane.answer) for lane in lanes if lane.is_whole and lane.answer is not None]
    if not kept:
        raise UsageError("there is no whole answer to save yet")
    place = home.generations_dir / f"{new_ulid()}-arena"
    aside = place.with_name(f".{place.name}")
    try:
        aside.mkdir(parents=True)
        for name, content in _contents(kept).items():
            write_synced(aside / name, content)
        aside.rename(place)
    except OSError as error:
        raise LabError(f"cannot write {place}: {error.strerror or error}") from None
    return place


def _contents(kept: Sequence[tuple[Lane, Answer]]) -> dict[str, bytes]:
    keys = [chr(ord("a") + index) for index in range(len(kept))]
    names = {key: lane.model.name for key, (lane, _) in zip(keys, kept, strict=True)}
    prompts = tuple(dict.fromkeys(lane.prompt for lane, _ in kept))
    rows = [_answer(key, lane, answer) for key, (lane, answer) in zip(keys, kept, strict=True)]
    columns = [
        {
            "key": key,
            "model": lane.model.name,
            "run_id": lane.model.run_id,
            "settings": lane.settings.as_row(),
        }
        for key, (lane, _) in zip(keys, kept, strict=True)
    ]
    return {
        files.ASKED_FILE: files.Asked(models=names, prompts=prompts).to_json().encode(),
        files.ANSWERS_FILE: b"".join(row.to_line(names[row.cell.key]) for row in rows),
        files.TIMES_FILE: b"".join(_times(answer) for _, answer in kept),
        "arena.json": json.dumps({"v": 1, "columns": columns}, indent=1).encode() + b"\n",
    }


def _answer(key: str, lane: Lane, answer: Answer) -> files.Answer:
    ending = answer.ending
    assert ending is not None
    finish: Literal["stop", "length"] = "length" if ending.finish == "length" else "stop"
    return files.Answer(
        cell=files.Cell(
            key=key,
            temperature=lane.settings.temperature,
            seed=lane.settings.seed,
            prompt=lane.prompt,
        ),
        text="".join(part.text for part in answer.parts if part.type == "text"),
        shown=answer.shown,
        finish=finish,
        num_prompt_tokens=ending.used - ending.num_tokens,
        ids=tuple(answer.ids),
        is_forced=tuple(answer.is_forced),
        entropy_nats=tuple(answer.entropy_nats),
        surprisal_nats=tuple(answer.surprisal_nats),
    )


def _times(answer: Answer) -> bytes:
    ttft_s, rate = answer.ttft_s or 0.0, answer.tok_per_sec
    later_s = (answer.num_tokens - 1) / rate if rate and answer.num_tokens > 1 else 0.0
    row = asdict(files.Times(ttft_s=round(ttft_s, 6), last_s=round(ttft_s + later_s, 6)))
    return json.dumps({"v": 1, **row}).encode() + b"\n"
