"""What people add to a run after its launch: tags, notes and a new name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runs.errors import LabError
from runs.log import LogRecord, append_record
from runs.paths import RunPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The name, tags and notes of a run as they stand now."""

    name: str
    tags: tuple[str, ...]
    notes: tuple[str, ...] = ()


def fold_annotations(records: Sequence[LogRecord], *, name: str, tags: tuple[str, ...]) -> Labels:
    """Return the labels that a run has after every annotation, starting from its launch."""
    labels = Labels(name=name, tags=tuple(dict.fromkeys(tags)))
    for record in records:
        text = record.text("text")
        if text is None:
            continue
        if record.kind == "tag":
            labels = replace(labels, tags=tuple(dict.fromkeys((*labels.tags, text))))
        elif record.kind == "untag":
            labels = replace(labels, tags=tuple(tag for tag in labels.tags if tag != text))
        elif record.kind == "note":
            labels = replace(labels, notes=(*labels.notes, text))
        elif record.kind == "rename":
            labels = replace(labels, name=text)
    return labels


def add_tag(run_dir: Path, tag: str) -> None:
    """Tag a run."""
    _append(run_dir, "tag", {"text": tag})


def remove_tag(run_dir: Path, tag: str) -> None:
    """Take a tag off a run."""
    _append(run_dir, "untag", {"text": tag})


def add_note(run_dir: Path, text: str) -> None:
    """Add a note to a run."""
    _append(run_dir, "note", {"text": text})


def rename(run_dir: Path, name: str) -> None:
    """Give a run another name; its slug stays."""
    _append(run_dir, "rename", {"text": name})


def _append(run_dir: Path, kind: str, data: dict[str, Any]) -> None:
    path = RunPaths(run_dir).annotations
    if not append_record(path, kind, data, sync=True):
        raise LabError(f"cannot write {path}; check the disk and the permissions")
