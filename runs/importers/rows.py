"""Plain tables of metrics, CSV and JSON lines: a row per step, or a row per metric and step."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runs.errors import Corrupt
from runs.events import Step
from runs.importers.nanochat import parse_lines
from runs.importers.source import (
    STEP_NAMES,
    TIME_NAMES,
    ForeignRun,
    Format,
    Point,
    row_numbers,
    row_step,
    row_time,
)

_LONG = frozenset({"metric", "value"})
_NOT_METRICS = frozenset({*STEP_NAMES, *TIME_NAMES, "attempt"})


def read_csv(path: Path) -> list[ForeignRun]:
    """Return the run in a CSV file with a header; columns that hold no number are left out."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        rows = [
            {str(key): _cell(value) for key, value in row.items() if key is not None}
            for row in csv.DictReader(io.StringIO(text, newline=""))
        ]
    except csv.Error as error:
        raise Corrupt(f"{path} is not a readable CSV file: {error}") from None
    return _tables(path, "csv", rows, [])


def read_jsonl(path: Path) -> list[ForeignRun]:
    """Return the run in a file with a JSON object per line."""
    rows, num_bad = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            num_bad += 1
    problems = [f"{num_bad} lines are no JSON objects and are left out"] if num_bad else []
    return _tables(path, "jsonl", rows, problems)


def read_nanochat(path: Path) -> list[ForeignRun]:
    """Return the run that a log of nanochat's output tells of.

    Raises:
        Corrupt: no line of it is a line of nanochat.
    """
    with open(path, encoding="utf-8", errors="replace", newline="\n") as stream:
        points = [Point(t=None, event=event) for event in parse_lines(stream)]
    if not points:
        raise Corrupt(f"{path} holds no line such as 'step 00010/21400 (0.05%) | loss: 3.2 | ...'")
    return [ForeignRun(format="nanochat", paths=(path,), key="", name=path.stem, points=points)]


def _tables(
    path: Path, form: Format, rows: Sequence[Mapping[str, Any]], problems: list[str]
) -> list[ForeignRun]:
    long = [row for row in rows if set(row) >= _LONG]
    if not long:
        return [_table(path, form, "", path.stem, list(_wide(rows)), problems)]
    # What `runs export` wrote may hold several runs, and each of those several stages.
    by_run: dict[str, list[Mapping[str, Any]]] = {}
    for row in long:
        by_run.setdefault(str(row.get("run_id", "")), []).append(row)
    return [
        _table(path, form, key, str(own[0].get("run", path.stem)), list(_long(own)), problems)
        for key, own in by_run.items()
    ]


def _table(
    path: Path, form: Format, key: str, name: str, points: list[Point], problems: list[str]
) -> ForeignRun:
    if not points:
        raise Corrupt(f"{path} holds no row with numbers; give it a header and a column 'step'")
    times = [point.t for point in points if point.t is not None]
    return ForeignRun(
        format=form,
        paths=(path,),
        key=key,
        name=name,
        points=points,
        started_s=min(times, default=None),
        ended_s=max(times, default=None),
        problems=tuple(problems),
    )


def _wide(rows: Iterable[Mapping[str, Any]]) -> Iterator[Point]:
    for index, row in enumerate(rows):
        step = row_step(row)
        metrics = {k: v for k, v in row_numbers(row) if k not in _NOT_METRICS}
        if metrics:
            event = Step(step=index if step is None else step, metrics=metrics)
            yield Point(t=row_time(row), event=event)


def _long(rows: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    has_stages = len({row.get("stage") for row in rows}) > 1
    for row in rows:
        step, found = row_step(row), dict(row_numbers({"value": row.get("value")}))
        is_old = row.get("is_superseded") in (True, "true", "True", 1.0)
        if step is not None and found and not is_old:
            name = str(row["metric"])
            metrics = {f"{row.get('stage')}.{name}" if has_stages else name: found["value"]}
            yield Point(t=row_time(row), event=Step(step=step, metrics=metrics))


def _cell(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value
