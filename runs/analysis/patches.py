"""Unified diffs taken apart: which files and hunks they hold, and how two of them differ. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

_FILE = re.compile(r"diff --git (?:a/.* )?b/(?P<path>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file that differs, and in how many places; a binary or a renamed file counts as one."""

    path: str
    num_hunks: int


def files_of(patch: str) -> dict[str, tuple[str, ...]]:
    """Return the hunks of each file in a diff, without the line numbers of their headers.

    Line numbers move when another hunk of the file does; the hunk is the same one.
    """
    files: dict[str, list[list[str]]] = {}
    hunks: list[list[str]] = []
    for line in patch.splitlines():
        if found := _FILE.fullmatch(line):
            hunks = files.setdefault(found["path"], [])
        elif line.startswith("@@"):
            hunks.append([])
        elif hunks:
            hunks[-1].append(line)
        elif line.startswith(("Binary files", "rename to ", "old mode")):
            hunks.append([line])
    return {path: tuple("\n".join(hunk) for hunk in found) for path, found in files.items()}


def changes_in(patch: str) -> list[FileChange]:
    """Return the files that a diff touches."""
    return [FileChange(path=path, num_hunks=len(found)) for path, found in files_of(patch).items()]


def changes_between(old: str, new: str) -> list[FileChange]:
    """Return the files in which two diffs over the same commit leave another text behind."""
    before, after = files_of(old), files_of(new)
    changes = []
    for path in sorted({*before, *after}):
        num = _num_different(before.get(path, ()), after.get(path, ()))
        if num or (path in before) != (path in after):
            changes.append(FileChange(path=path, num_hunks=max(num, 1)))
    return changes


def unified(old: str, new: str, names: tuple[str, str]) -> str:
    """Return how two stored diffs differ, as a unified diff of their own."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm="")
    return "\n".join(lines)


def _num_different(before: tuple[str, ...], after: tuple[str, ...]) -> int:
    counts: Mapping[str, list[int]] = {hunk: [0, 0] for hunk in (*before, *after)}
    for side, hunks in enumerate((before, after)):
        for hunk in hunks:
            counts[hunk][side] += 1
    lost = sum(max(0, old - new) for old, new in counts.values())
    added = sum(max(0, new - old) for old, new in counts.values())
    return max(lost, added)
