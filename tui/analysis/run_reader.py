"""Everything about one run, read from its directory as far as a section of its page needs it.

For one thread at a time. A part that cannot be read is a sentence in `problems`, never an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from core.config import EXPERIMENT_CONFIGS, STAGE_CONFIGS
from core.planning.settings import stage_configs
from runs.analysis.diff import environment
from runs.errors import LabError
from runs.events import EventRecord, EventTail, decode
from runs.lineage.graph import Lineage, lineage_of
from runs.lineage.made import CHECKPOINT, stage_log
from runs.paths import LabHome, RunPaths
from runs.recipe import load_recipe
from runs.supervision.control import Control
from runs.views.card import RunCard
from runs.views.facts import EventFile, FoldCache, event_files, load_facts
from runs.views.fold import StageFacts
from runs.views.presence import presence
from runs.views.query import load_run
from runs.views.run_view import RunView
from tui.analysis.event_times import EventTimes, FileTimes
from tui.analysis.run_page import FileSize, RunPage, Section, Setting
from tui.live.saved import (
    Place,
    SavedCheckpoint,
    WrittenCheckpoint,
    kept_on_disk,
    saved_checkpoints,
)
from tui.live.state import StageRecord

# Of a long log the beginning and the end are read: a training of a million steps says 250 MB.
HEAD_BYTES = 64 * 1024
TAIL_BYTES = 512 * 1024
MAX_FILES = 2000
Found = TypeVar("Found")


class RunReader:
    """Reads one run again and again, each time only what has changed."""

    def __init__(self, home: LabHome, run_dir: Path) -> None:
        self.home = home
        self.run_dir = run_dir
        self._cache = FoldCache()
        self._times: dict[Path, EventTimes] = {}
        self._lineage: tuple[object, Lineage] | None = None
        self._mark: object = None

    def read(self, section: Section) -> RunPage | None:
        """Return the page with what a section needs; None when nothing has changed."""
        view = load_run(self.run_dir, self._cache)
        mark = (section, view.state, view.problem, fingerprint(self.run_dir))
        if mark == self._mark:
            return None
        page = self._page(view, section)
        self._mark = mark
        return page

    def forget(self) -> None:
        """Let the next reading tell everything again."""
        self._mark = None

    def _page(self, view: RunView, section: Section) -> RunPage:
        problems: dict[str, str] = {}

        def part(name: str, read: Callable[[], Found]) -> Found | None:
            try:
                return read()
            except (LabError, OSError, ValueError, KeyError, TypeError) as error:
                problems[name] = f"cannot read {name}: {error}"
                return None

        card = RunCard(view)
        control = part("control", lambda: self._cache.control(RunPaths(self.run_dir).control))
        facts = part("events", lambda: load_facts(self.run_dir, self._cache)) or {}
        own = part(section, lambda: self._own(section, card, control, facts, problems)) or {}
        return RunPage(
            view=view,
            record=card.record,
            control=control or Control(),
            facts=facts,
            problems=problems,
            **own,
        )

    def _own(
        self,
        section: Section,
        card: RunCard,
        control: Control | None,
        facts: Mapping[str, StageFacts],
        problems: dict[str, str],
    ) -> dict[str, Any]:
        """Return the fields of the page that one section alone needs."""
        match section:
            case "overview":
                return {"presence": control and presence(self.run_dir, control)}
            case "config":
                return {"settings": _settings(card, problems)}
            case "environment":
                return {"environment": environment(card)}
            case "lineage":
                return {"lineage": self._read_lineage(card.view, facts)}
            case "checkpoints":
                return {"checkpoints": _checkpoints(self.run_dir, card.view, facts)}
            case "time":
                return {"times": self._read_times()}
            case "events":
                events, skipped = _events(self.run_dir)
                return {"events": events, "skipped_bytes": skipped}
            case "files":
                files, count = _files(self.run_dir)
                return {"files": files, "num_files": count}
        return {}

    def _read_lineage(self, view: RunView, facts: Mapping[str, StageFacts]) -> Lineage:
        # It reads every run of the lab: only when a stage began, ended or made something.
        key = (
            tuple((stage.stage, stage.state, stage.attempt) for stage in view.stages),
            tuple((len(one.artifacts), len(one.checkpoints)) for one in facts.values()),
        )
        if self._lineage is None or self._lineage[0] != key:
            self._lineage = (key, lineage_of(self.home, self.run_dir))
        return self._lineage[1]

    def _read_times(self) -> tuple[FileTimes, ...]:
        found = []
        for file in _all_files(self.run_dir):
            times = self._times.get(file.path)
            if times is None or file.size < times.offset:
                times = self._times[file.path] = EventTimes(file.path)
            times.advance()
            found.append(times.times(file))
        return tuple(found)


def _settings(card: RunCard, problems: dict[str, str]) -> tuple[Setting, ...]:
    if card.record is None:
        return ()
    try:
        recipe = load_recipe(card.record.recipe)
        preset = recipe["presets"].get(card.record.preset, {})
        defaults = {
            stage: json.loads(json.dumps(asdict(config)))
            for stage, config in stage_configs(recipe, preset).items()
        }
    except LabError as error:
        defaults = {}
        problems["defaults"] = f"the defaults are not known: {error}"
    found = []
    for key, value in card.settings.items():
        stage, _, name = key.partition(".")
        if stage in ("plan", "model"):
            continue
        known = defaults.get(stage, {})
        found.append(
            Setting(
                stage=stage,
                name=name,
                value=value,
                default=known.get(name),
                has_default=name in known,
                help=_help_of(stage, name),
            )
        )
    return tuple(found)


def _help_of(stage: str, name: str) -> str:
    kind = STAGE_CONFIGS.get(stage) or EXPERIMENT_CONFIGS.get(stage)
    found = [spec for spec in fields(kind) if spec.name == name] if kind else []
    return str(found[0].metadata.get("help", "")) if found else ""


def _checkpoints(
    run_dir: Path, view: RunView, facts: Mapping[str, StageFacts]
) -> tuple[SavedCheckpoint, ...]:
    written: list[WrittenCheckpoint] = []
    measured: dict[Place, float] = {}
    for stage in (one.stage for one in view.stages):
        written += _written(run_dir, stage)
        for entry in facts.get(stage, StageFacts()).evals:
            if entry["val_bpb"] is not None:
                measured[stage, entry["step"]] = entry["val_bpb"]
    kept = kept_on_disk(run_dir, dict.fromkeys(one.stage for one in written))
    return saved_checkpoints(written, kept, measured)


def _written(run_dir: Path, stage: str) -> list[WrittenCheckpoint]:
    return [
        WrittenCheckpoint(
            stage=stage,
            step=item.step,
            t=item.t,
            num_bytes=item.num_bytes,
            sha256=item.sha256,
        )
        for item in stage_log(run_dir, stage).made
        if item.name == CHECKPOINT and item.step is not None
    ]


def _events(run_dir: Path) -> tuple[tuple[StageRecord, ...], int]:
    """Return the events of all logs by time, and how many bytes of long logs were left out."""
    found: list[StageRecord] = []
    skipped = 0
    for file in _all_files(run_dir):
        records, left_out = _ends_of(file.path, file.size)
        skipped += left_out
        found += [
            StageRecord(stage=file.stage, attempt=file.attempt, rank=file.rank, record=record)
            for record in records
        ]
    found.sort(key=lambda one: one.record.t)
    return tuple(found), skipped


def _ends_of(path: Path, size: int) -> tuple[list[EventRecord], int]:
    if size <= HEAD_BYTES + TAIL_BYTES:
        return EventTail(path).read(), 0
    with open(path, "rb") as stream:
        head = stream.read(HEAD_BYTES)
    records = [decode(line) for line in head[: head.rfind(b"\n") + 1].splitlines()]
    tail = EventTail(path)
    # The first line is torn in most cases, and is passed over as such.
    tail.offset = size - TAIL_BYTES
    return [
        *(record for record in records if record is not None),
        *tail.read(),
    ], size - HEAD_BYTES - TAIL_BYTES


def _files(run_dir: Path) -> tuple[tuple[FileSize, ...], int]:
    found: list[FileSize] = []
    for folder, _, names in os.walk(run_dir):
        for name in names:
            path = Path(folder) / name
            try:
                size = path.lstat().st_size
            except OSError:
                continue
            found.append(FileSize(path=str(path.relative_to(run_dir)), num_bytes=size))
    found.sort(key=lambda file: file.path)
    return tuple(found[:MAX_FILES]), len(found)


def _all_files(run_dir: Path) -> Sequence[EventFile]:
    return [file for files in event_files(run_dir).values() for file in files]


def fingerprint(run_dir: Path) -> object:
    """Return what differs when any log of a run has grown."""
    paths = RunPaths(run_dir)
    logs = (paths.run_json, paths.control, paths.annotations, paths.requests, paths.summary)
    return (
        tuple(map(_size_and_time, logs)),
        tuple((file.path.name, file.size) for file in _all_files(run_dir)),
    )


def _size_and_time(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
