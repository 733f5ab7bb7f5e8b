"""Runs of other tools as run directories: all of it or nothing, and never twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runs.create import create_run
from runs.environment import GitState
from runs.errors import LabError
from runs.events import End, Error, Event, Note, Start, Step, encode, split_metrics
from runs.files import sha256_file
from runs.importers.source import ForeignRun, Point
from runs.labels import add_note
from runs.lineage.trash import trash_home
from runs.paths import LabHome, RunPaths
from runs.record import load_record, plan_hash
from runs.views.query import run_dirs

STAGE = "import"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of one foreign run; `is_new` is false when it had been imported before."""

    paths: RunPaths
    is_new: bool
    is_trashed: bool = False
    num_points: int = 0


def store(home: LabHome, run: ForeignRun, argv: Sequence[str]) -> Imported:
    """Create the run directory of a foreign run, unless its content is in the lab home already."""
    digest = content_hash(run)
    for lab in (home, trash_home(home)):
        known = _known(lab, digest)
        if known is not None:
            return Imported(paths=RunPaths(known), is_new=False, is_trashed=lab != home)
    paths = create_run(
        home,
        plan=_plan(run, digest),
        recipe=STAGE,
        preset="",
        name=_name(run.name),
        tags=[tag for tag in ("-".join(text.split()) for text in run.tags) if tag],
        argv=argv,
        git=GitState(sha=run.about.get("commit"), branch=None, is_dirty=False, diff=None),
        host={"hostname": run.about.get("host")},
        files={f"events/{STAGE}.a1.r0.jsonl": b"".join(_lines(run))},
        clock=lambda: _started_s(run),
    )
    if run.notes.strip():
        add_note(paths.run_dir, run.notes)
    return Imported(paths=paths, is_new=True, num_points=len(run.points))


def content_hash(run: ForeignRun) -> str:
    """Return what a foreign run is known by: the content of its files, and its place in them."""
    digest = hashlib.sha256(f"{run.format}\0{run.key}".encode())
    for path in run.paths:
        digest.update(sha256_file(path).encode())
    return digest.hexdigest()


def _known(home: LabHome, digest: str) -> Path | None:
    for path in run_dirs(home):
        # The name comes first: most runs were made here, and their records are long.
        if f"-{STAGE}-" not in path.name:
            continue
        try:
            origin = load_record(path).plan.get("imported")
        except LabError:
            continue
        if isinstance(origin, dict) and origin.get("content_sha256") == digest:
            return path
    return None


def _plan(run: ForeignRun, digest: str) -> dict[str, Any]:
    # What another tool allows as a number, JSON may not.
    config = json.loads(json.dumps(_finite(run.config), default=str))
    stage = {
        "stage": STAGE,
        "config": config,
        "config_hash": plan_hash(config),
        "inputs": {},
        "total": None,
    }
    origin = {
        "format": run.format,
        "paths": [str(path.absolute()) for path in run.paths],
        "content_sha256": digest,
        "key": run.key,
        "about": _finite(run.about),
        "problems": list(run.problems),
    }
    return {"recipe": STAGE, "preset": "", "stages": [stage], "imported": origin}


def _lines(run: ForeignRun) -> Iterator[bytes]:
    begun_s, last_s = _started_s(run), _started_s(run)
    for seq, point in enumerate(_in_parts(run)):
        t = point.t if point.t is not None else last_s
        last_s = max(begun_s, t)
        yield encode(point.event, seq=seq, t=t)


def _in_parts(run: ForeignRun) -> Iterator[Point]:
    started_s = _started_s(run)
    yield Point(t=started_s, event=_start(run))
    for point in run.points:
        if isinstance(point.event, Step):
            for part in split_metrics(point.event.metrics):
                yield Point(t=point.t, event=replace(point.event, metrics=part))
        else:
            yield point
    for event in _closing(run):
        yield Point(t=run.ended_s, event=event)


def _start(run: ForeignRun) -> Start:
    return Start(
        stage=STAGE,
        attempt=1,
        config_hash="",
        host=str(run.about.get("host", "")),
        device="",
        torch=None,
        world_size=1,
        argv=(),
    )


def _closing(run: ForeignRun) -> Iterator[Event]:
    for problem in run.problems:
        yield Note(message=f"not imported: {problem}")
    if run.outcome == "failed":
        yield Error(type="Imported", message=run.failure or "it failed", traceback="")
        yield End(reason="failed")
        return
    if run.outcome is None:
        yield Note(message=f"files of {run.format} do not say how a run ended")
    yield End(reason="finished")


def _started_s(run: ForeignRun) -> float:
    if run.started_s is not None and run.started_s > 0:
        return run.started_s
    return min(os.stat(path).st_mtime for path in run.paths)  # noqa: PTH116


def _name(text: str) -> str | None:
    kept = "".join("-" if char in ":@/\\\n\t" else char for char in text).strip()
    return kept or None


def _finite(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0.0:
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
