"""Reading the event logs of a run: incremental, cached per file, and summaries where they hold.

A summary speaks for a stage only while the sizes of its event logs are those it was made from.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from runs.alerting.host_alerts import HostAlertTail, RunAlert
from runs.errors import Corrupt
from runs.events import EventTail, number
from runs.files import read_json
from runs.log import LogTail
from runs.paths import RunPaths
from runs.record import RunRecord, load_record
from runs.supervision.control import Control, fold_control
from runs.views.fold import AttemptFold, StageFacts, fold_stage
from runs.views.kept_views import KeptViews

_EVENTS_NAME = re.compile(r"(?P<stage>.+)\.a(?P<attempt>\d+)\.r(?P<rank>\d+)\.jsonl")


_FACTS = frozenset(spec.name for spec in fields(StageFacts))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFile:
    """One event log of a run."""

    path: Path
    stage: str
    attempt: int
    rank: int
    size: int


@dataclass(slots=True, kw_only=True)
class _Cached:
    tail: EventTail
    fold: AttemptFold


@dataclass(slots=True, kw_only=True)
class _CachedControl:
    tail: LogTail
    control: Control


@dataclass(slots=True, kw_only=True)
class OneReading:
    """What was read of one run that is looked at several times in a row, never later."""

    summaries: Mapping[str, Any]
    files: dict[str, list[EventFile]]
    record: RunRecord | None = None


@dataclass(slots=True)
class FoldCache:
    """What was already read, so that a poll reads only what was added since the last one."""

    events: dict[Path, _Cached] = field(default_factory=dict)
    controls: dict[Path, _CachedControl] = field(default_factory=dict)
    hosts: dict[Path, HostAlertTail] = field(default_factory=dict)
    kept: KeptViews[Any] | None = None
    once: OneReading | None = None

    def record(self, run_dir: Path) -> RunRecord:
        """Return the content of run.json; see `load_record`."""
        known = self.once.record if self.once else None
        return known or load_record(run_dir)

    def fold(self, file: EventFile) -> AttemptFold:
        """Return the fold of an event log, brought up to date."""
        entry = self.events.get(file.path)
        if entry is None or file.size < entry.tail.offset:
            fold = AttemptFold(attempt=file.attempt, rank=file.rank)
            entry = _Cached(tail=EventTail(file.path), fold=fold)
            self.events[file.path] = entry
        for record in entry.tail.read():
            entry.fold.apply(record)
        return entry.fold

    def alerts(self, path: Path) -> tuple[RunAlert, ...]:
        """Return the alerts of a host log, brought up to date."""
        if path not in self.hosts:
            self.hosts[path] = HostAlertTail(path)
        return self.hosts[path].read()

    def control(self, path: Path) -> Control:
        """Return the fold of a control log, brought up to date."""
        entry = self.controls.get(path)
        if entry is None or not path.exists() or path.stat().st_size < entry.tail.offset:
            entry = _CachedControl(tail=LogTail(path), control=Control())
            self.controls[path] = entry
        entry.control = fold_control(entry.tail.read(), entry.control)
        return entry.control


def event_files(run_dir: Path) -> dict[str, list[EventFile]]:
    """Return the event logs of a run by stage; foreign names are left out."""
    by_stage: dict[str, list[EventFile]] = {}
    try:
        with os.scandir(RunPaths(run_dir).events_dir) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return by_stage
    for entry in entries:
        match = _EVENTS_NAME.fullmatch(entry.name)
        if match is None:
            continue
        file = EventFile(
            path=Path(entry.path),
            stage=match["stage"],
            attempt=int(match["attempt"]),
            rank=int(match["rank"]),
            size=entry.stat().st_size,
        )
        by_stage.setdefault(file.stage, []).append(file)
    return by_stage


def sizes(files: list[EventFile]) -> dict[str, int]:
    """Return what a derived file keeps to know later whether the logs have grown."""
    return {file.path.name: file.size for file in files}


def load_facts(run_dir: Path, cache: FoldCache | None = None) -> dict[str, StageFacts]:
    """Return the facts of every stage that has an event log."""
    cache = cache or FoldCache()
    once = cache.once or read_once(run_dir)
    summaries = once.summaries
    facts = {}
    for stage, files in once.files.items():
        summary = summaries.get(stage, {})
        known = None
        if summary.get("files") == sizes(files) and files[0].path not in cache.events:
            known = _from_summary(summary)
        facts[stage] = known or fold_stage([cache.fold(file) for file in files])
    return facts


def stage_facts(run_dir: Path, stage: str) -> StageFacts:
    """Return the facts of one stage, read from its event logs."""
    cache = FoldCache()
    return fold_stage([cache.fold(file) for file in event_files(run_dir).get(stage, [])])


def read_once(run_dir: Path) -> OneReading:
    """Return the summaries of a run's stages as they were written, and its event logs."""
    return OneReading(summaries=_summaries(run_dir), files=event_files(run_dir))


def _summaries(run_dir: Path) -> Mapping[str, Any]:
    try:
        stages = read_json(RunPaths(run_dir).summary).get("stages")
    except (OSError, Corrupt):
        return {}
    return stages if isinstance(stages, dict) else {}


def _from_summary(summary: Mapping[str, Any]) -> StageFacts | None:
    facts = summary.get("facts")
    if not isinstance(facts, dict) or facts.keys() != _FACTS:
        return None
    # JSON holds non-finite numbers as text.
    metrics = {key: number(value) for key, value in facts["metrics"].items()}
    evals = [{**entry, "val_bpb": number(entry["val_bpb"])} for entry in facts["evals"]]
    known = {key: value for key, value in metrics.items() if value is not None}
    return StageFacts(**{**facts, "metrics": known, "evals": evals})
