"""The rows of the registry that one run directory gives; pure reading, no database."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.errors import LabError
from runs.events import number
from runs.metrics.compact import FORMAT
from runs.metrics.fingerprint import fingerprint
from runs.paths import RunPaths
from runs.record import RunRecord, load_record
from runs.views.facts import FoldCache, OneReading, read_once
from runs.views.query import load_run
from runs.views.run_view import RunView
from runs.views.states import ACTIVE

Row = dict[str, Any]
TABLES = ("runs", "stages", "summaries")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRows:
    """What one run adds to each table of the registry."""

    runs: list[Row]
    stages: list[Row] = field(default_factory=list)
    summaries: list[Row] = field(default_factory=list)

    def table(self, name: str) -> list[Row]:
        """Return the rows for one of TABLES."""
        return {"runs": self.runs, "stages": self.stages, "summaries": self.summaries}[name]


def run_rows(run_dir: Path, read: Callable[[Path], OneReading] = read_once) -> RunRows:
    """Return the rows of a run; an unreadable one has its line in `runs` too.

    `read` may make again what is derived of the run before it is read.
    """
    # The mark first: a file that changes while it is read is read again by the next publisher.
    mark = fingerprint(run_dir)
    once = read(run_dir)
    if (after := fingerprint(run_dir)) != mark:
        mark, once = after, read_once(run_dir)
    try:
        record = once.record = load_record(run_dir)
    except LabError:
        return RunRows(runs=[_run_row(load_run(run_dir), None, mark)])
    view = load_run(run_dir, FoldCache(once=once))
    summaries = once.summaries
    if view.state in ACTIVE:
        # Its state can change without a write to any file, by the death of a process.
        mark += " active"
    return RunRows(
        runs=[_run_row(view, record, mark)],
        stages=_stage_rows(view, record, summaries),
        summaries=[
            {"run_id": view.run_id, "stage": stage, **figures}
            for stage, summary in summaries.items()
            for figures in _figures(summary)
        ],
    )


def _run_row(view: RunView, record: RunRecord | None, mark: str) -> Row:
    return {
        "run_id": view.run_id,
        "slug": view.slug,
        "name": view.name,
        "recipe": view.recipe,
        "preset": view.preset,
        "state": view.state,
        "stage": view.stage,
        "created_s": view.created_s,
        "started_s": view.started_s,
        "ended_s": view.ended_s,
        "val_bpb": view.val_bpb,
        "val_sha256": view.val_sha256,
        "tags": list(view.tags),
        "notes": list(view.notes),
        "problem": view.problem,
        "path": str(view.path),
        "plan": json.dumps(record.plan) if record else None,
        "plan_hash": record.plan_hash if record else None,
        "git_sha": record.git.get("sha") if record else None,
        "hostname": record.host.get("hostname") if record else None,
        "fingerprint": mark,
    }


def _stage_rows(view: RunView, record: RunRecord, summaries: Mapping[str, Any]) -> list[Row]:
    return [
        {
            "run_id": view.run_id,
            "stage": seen.stage,
            "position": position,
            "state": seen.state,
            "attempt": seen.attempt,
            "step": seen.step,
            "total": seen.total,
            "started_s": seen.started_s,
            "ended_s": seen.ended_s,
            "val_bpb": seen.val_bpb,
            "val_sha256": seen.val_sha256,
            "error": seen.error,
            "resumed_from": seen.resumed_from,
            "num_alerts": seen.num_alerts,
            "config": json.dumps(entry.config),
            "config_hash": entry.config_hash,
            "metrics_path": _metrics_path(view.path, seen.stage, summaries),
        }
        for position, (seen, entry) in enumerate(zip(view.stages, record.stages, strict=True))
    ]


def _metrics_path(run_dir: Path, stage: str, summaries: Mapping[str, Any]) -> str | None:
    # The summary knows the format, which saves opening every file.
    summary = summaries.get(stage)
    if not isinstance(summary, dict) or summary.get("metrics_format") != FORMAT:
        return None
    path = RunPaths(run_dir).metrics(stage)
    return str(path) if path.is_file() else None


def _figures(summary: Mapping[str, Any]) -> list[Row]:
    rows = []
    for key, figures in (summary.get("metrics") or {}).items():
        rows.append(
            {
                "key": key,
                "last": number(figures.get("last")),
                "min": number(figures.get("min")),
                "max": number(figures.get("max")),
                "best": number(figures.get("best")),
                "best_step": figures.get("best_step"),
                "n": figures.get("n"),
                "last_step": figures.get("last_step"),
            }
        )
    for task, figures in (summary.get("results") or {}).items():
        for name, value in figures.items():
            value = number(value)
            key = f"results.{task}.{name}"
            one = {"key": key, "last": value, "min": value, "max": value, "best": None}
            rows.append({**one, "best_step": None, "n": 1, "last_step": None})
    return rows
