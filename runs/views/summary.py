"""summary.json: the figures of every stage in one file, derived from the events.

The worker writes it just before the report stage, the supervisor after every stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from runs.events import plain
from runs.files import write_json
from runs.metrics.compact import FORMAT
from runs.metrics.series import read_metrics, summarize
from runs.paths import RunPaths
from runs.record import RunRecord, StagePlan, load_record
from runs.views.facts import event_files, sizes, stage_facts
from runs.views.fold import StageFacts
from runs.views.query import load_run
from runs.views.run_view import RunView, StageView

VERSION = 1


def write_summary(run_dir: Path) -> Path:
    """Write summary.json and return its path."""
    path = RunPaths(run_dir).summary
    write_json(path, build_summary(run_dir))
    return path


def build_summary(run_dir: Path) -> dict[str, Any]:
    """Return the content of summary.json; numbers that are not finite are text, as in events."""
    record = load_record(run_dir)
    view = load_run(run_dir)
    stages = {
        entry.stage: _stage_summary(run_dir, entry, seen)
        for entry, seen in zip(record.stages, view.stages, strict=True)
    }
    body: dict[str, Any] = plain({"v": VERSION, **_run_summary(record, view), "stages": stages})
    return body


def _run_summary(record: RunRecord, view: RunView) -> dict[str, Any]:
    return {
        "run_id": record.run_id,
        "slug": record.slug,
        "name": view.name,
        "recipe": record.recipe,
        "preset": record.preset,
        "state": view.state,
        "created_s": record.created_s,
        "started_s": view.started_s,
        "ended_s": view.ended_s,
        "val_bpb": view.val_bpb,
        "val_sha256": view.val_sha256,
        "tags": view.tags,
        "notes": view.notes,
        "argv": record.argv,
        "parents": record.parents,
        "nproc": record.nproc,
        "git": record.git,
        "packages": record.packages,
        "host": record.host,
        "plan_hash": record.plan_hash,
        "plan": {key: value for key, value in record.plan.items() if key != "stages"},
    }


def _stage_summary(run_dir: Path, entry: StagePlan, seen: StageView) -> Mapping[str, Any]:
    # Sizes first: a log that grows while it is read makes the summary stale, never wrong.
    files = sizes(event_files(run_dir).get(entry.stage, []))
    facts = stage_facts(run_dir, entry.stage)
    metrics = read_metrics(run_dir, entry.stage)
    return {
        "state": seen.state,
        "attempt": seen.attempt,
        "step": seen.step,
        "total": seen.total,
        "started_s": seen.started_s,
        "ended_s": seen.ended_s,
        "val_bpb": seen.val_bpb,
        "val_sha256": seen.val_sha256,
        "results": seen.results,
        "error": seen.error,
        "config": entry.config,
        "config_hash": entry.config_hash,
        "metrics": summarize(metrics),
        "metrics_format": FORMAT if metrics.is_compacted else None,
        "artifacts": facts.artifacts,
        "checkpoints": facts.checkpoints,
        "samples": facts.samples,
        "alerts": facts.alerts,
        "notes": facts.notes,
        "files": files,
        "facts": _keepable(facts),
    }


def _keepable(facts: StageFacts) -> dict[str, Any]:
    # What stands beside the facts in full is not kept twice.
    return asdict(replace(facts, samples=(), alerts=(), notes=(), checkpoints=()))
