"""Which checkpoints something still needs: a run built on them, a vote, a tag, a run at work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.errors import LabError
from runs.files import sha256_file
from runs.lineage.made import CHECKPOINT
from runs.paths import LabHome, RunPaths
from runs.record import RunRecord, load_record
from runs.views.checkpoints import step_of
from runs.views.query import load_run, run_dirs
from runs.views.run_view import RunView
from runs.views.states import ENDED

KEEP_TAG = "keep"
# Seen last on another machine or before a reboot: whether it is at work there, nobody here knows.
_UNSURE = frozenset({"lost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """A run of the lab home; `record` is None where run.json cannot be read."""

    path: Path
    view: RunView
    record: RunRecord | None

    @property
    def held_by(self) -> str | None:
        """Why nothing of this run may go, or None."""
        if KEEP_TAG in self.view.tags:
            return f"tag {KEEP_TAG!r} of its run"
        if self.view.state not in ENDED or self.view.state in _UNSURE or self.record is None:
            return f"its run is {self.view.state}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What is needed, by path, by hash and by name, with what needs it."""

    paths: Mapping[Path, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    votes: str = ""
    tokenizers: frozenset[str] = frozenset()

    def of(self, run: KnownRun, stage: str, path: Path) -> str | None:
        """Return what needs the checkpoint of a stage that lies at `path`, or None."""
        if run.held_by is not None:
            return run.held_by
        needed_by = self.paths.get(path) or self._by_hash(path)
        if needed_by is not None:
            return needed_by
        step = step_of(path)
        # Closed by a quote: "x:base@10" is no vote for "x:base@1".
        name = f'{run.view.slug}:{stage}@{step}"'
        return "a vote on its answers" if name in self.votes or f'{path}"' in self.votes else None

    def _by_hash(self, path: Path) -> str | None:
        try:
            return self.hashes.get(sha256_file(path / "COMMITTED"))
        except OSError:
            return None


def known_runs(home: LabHome) -> list[KnownRun]:
    """Return every run of a lab home, newest first."""
    return [_known(path) for path in run_dirs(home)]


def _known(path: Path) -> KnownRun:
    try:
        record = load_record(path)
    except LabError:
        record = None
    return KnownRun(path=path, view=load_run(path), record=record)


def needs(home: LabHome, trash: Path) -> Needs:
    """Return what the runs of a lab home need, those in its trash included, and its votes."""
    paths: dict[Path, str] = {}
    hashes: dict[str, str] = {}
    tokenizers: set[str] = set()
    for run_dir, record in _records(home, trash):
        for name, given in record.inputs.items():
            sha256, why = given.get("sha256", ""), f"run {record.slug}"
            if name.partition(":")[0] == CHECKPOINT:
                paths[RunPaths(run_dir).find(given["path"])] = why
                hashes[sha256] = why
            elif name.partition(":")[0] == "tokenizer":
                tokenizers.add(sha256)
    # What is listed in an empty COMMITTED, or not at all, is not known by its hash.
    for nothing in ("", hashlib.sha256(b"").hexdigest()):
        hashes.pop(nothing, None)
    return Needs(
        paths=paths,
        hashes=hashes,
        votes=_votes(home),
        tokenizers=frozenset(tokenizers),
    )


def _records(home: LabHome, trash: Path) -> Iterator[tuple[Path, RunRecord]]:
    for run_dir in [*run_dirs(home), *run_dirs(LabHome(trash))]:
        try:
            yield run_dir, load_record(run_dir)
        except LabError:
            continue


def _votes(home: LabHome) -> str:
    """Return every saved answer and vote as one text in which models are looked up."""
    if not home.generations_dir.is_dir():
        return ""
    parts = []
    for path in sorted(home.generations_dir.rglob("*.json*")):
        try:
            parts += path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
    return "\n".join(_plain(part) for part in parts)


def _plain(line: str) -> str:
    try:
        body: Any = json.loads(line)
    except (ValueError, RecursionError):
        return line
    return json.dumps(body, ensure_ascii=False)
