"""What a stage made and when, and whether it is still there: artifacts and checkpoints by hash.

The hash of a directory is that of the file which lists its content: COMMITTED of a checkpoint,
manifest.json of a corpus. `is_intact` with `deep` checks what that file lists, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runs.errors import Corrupt
from runs.events import EventRecord, decode
from runs.files import read_json, sha256_file
from runs.paths import RunPaths
from runs.views.checkpoints import COMMITTED
from runs.views.facts import event_files

CHECKPOINT = "checkpoint"
MANIFEST = "manifest.json"
Condition = Literal["ok", "changed", "gone"]
# Every other line of a log is a step, and a long log has a million of them.
_MARKS = (b'"kind":"artifact"', b'"kind":"checkpoint"', b'"kind":"start"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One thing that a stage made; `t` is when it said so, `step` is that of a checkpoint."""

    name: str
    path: Path
    sha256: str
    num_bytes: int | None
    t: float
    step: int | None = None

    @property
    def label(self) -> str:
        """The name to show: "checkpoint@360", "tokenizer"."""
        return self.name if self.step is None else f"{self.name}@{self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLog:
    """Everything that a stage made, oldest first, and when its newest attempt began."""

    made: tuple[Made, ...] = ()
    started_s: float | None = None

    def newest(self, name: str, *, until_s: float | None = None) -> Made | None:
        """Return the last `name` that was made, or that had been made at a moment."""
        found = [
            item
            for item in self.made
            if item.name == name and (until_s is None or item.t <= until_s)
        ]
        return found[-1] if found else None

    def names(self) -> list[str]:
        """Return the names of what was made, in the order of their first appearance."""
        return list(dict.fromkeys(item.name for item in self.made))


def stage_log(run_dir: Path, stage: str) -> StageLog:
    """Return what a stage made, from its event logs.

    What an attempt made beyond the step that the next one resumed from no longer counts.
    """
    made: list[Made] = []
    started_s = None
    files = [file for file in event_files(run_dir).get(stage, []) if file.rank == 0]
    for file in sorted(files, key=lambda file: file.attempt):
        for record in _milestones(file.path):
            if record.kind == "start":
                started_s = record.t
                resumed_from = record.data.get("resumed_from")
                limit = resumed_from if isinstance(resumed_from, int) else -1
                made = [item for item in made if item.step is None or item.step <= limit]
            elif (item := _made(run_dir, record)) is not None:
                made.append(item)
    return StageLog(made=tuple(made), started_s=started_s)


def content_hash(path: Path) -> str | None:
    """Return the hash that names what lies at a path, or None when nothing readable does."""
    try:
        if not path.is_dir():
            return sha256_file(path)
        for listing in (COMMITTED, MANIFEST):
            if (path / listing).is_file():
                return sha256_file(path / listing)
    except OSError:
        return None
    return None


def condition(path: Path, sha256: str, *, deep: bool = False) -> Condition:
    """Return whether what lies at `path` is what was recorded; without a hash, whether it is."""
    if not path.exists():
        return "gone"
    if sha256 and content_hash(path) != sha256:
        # A checkpoint whose removal was cut off has lost its COMMITTED first.
        return "changed" if content_hash(path) else "gone"
    return "ok" if not deep or _members_match(path) else "changed"


def _members_match(path: Path) -> bool:
    return all(
        (path / name).is_file() and sha256_file(path / name) == sha256
        for name, sha256 in _members(path)
    )


def _members(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the files that a directory lists, with their hashes."""
    try:
        if (path / COMMITTED).is_file():
            listing = (path / COMMITTED).read_bytes()
            body = json.loads(listing) if listing else {}
            yield from ((name, str(sha256)) for name, sha256 in body.items())
        elif (path / MANIFEST).is_file():
            for value in read_json(path / MANIFEST).values():
                yield from _entries(value) if isinstance(value, list) else ()
    except (OSError, ValueError, AttributeError, Corrupt):
        return


def _entries(entries: list[Any]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if isinstance(entry, dict):
            name, sha256 = entry.get("name"), entry.get("sha256")
            if isinstance(name, str) and isinstance(sha256, str):
                yield name, sha256


def _milestones(path: Path) -> Iterator[EventRecord]:
    try:
        with open(path, "rb") as stream:
            for line in stream:
                if any(mark in line for mark in _MARKS) and (record := decode(line)) is not None:
                    yield record
    except OSError:
        return


def _made(run_dir: Path, record: EventRecord) -> Made | None:
    data = record.data
    step, path = data.get("step"), data.get("path")
    name = CHECKPOINT if record.kind == "checkpoint" else data.get("name")
    if not isinstance(path, str) or not isinstance(name, str):
        return None
    size = data.get("bytes")
    return Made(
        name=name,
        path=RunPaths(run_dir).find(path),
        sha256=str(data.get("sha256") or ""),
        num_bytes=size if isinstance(size, int) else None,
        t=record.t,
        step=step if record.kind == "checkpoint" and isinstance(step, int) else None,
    )
