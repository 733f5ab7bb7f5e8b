"""Which checkpoints are complete: a directory step_<n>/ counts once it holds COMMITTED."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

COMMITTED = "COMMITTED"
_STEP_NAME = re.compile(r"step_(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedCheckpoint:
    """A checkpoint directory that was written to its end."""

    path: Path
    step: int


def step_of(path: Path) -> int | None:
    """Return the step that a checkpoint directory is named after, or None."""
    match = _STEP_NAME.fullmatch(path.name)
    return int(match[1]) if match else None


def committed(checkpoints_dir: Path) -> list[CommittedCheckpoint]:
    """Return the complete checkpoints of a stage, oldest first; the others are left aside."""
    if not checkpoints_dir.is_dir():
        return []
    found = []
    for path in checkpoints_dir.iterdir():
        step = step_of(path)
        if step is not None and (path / COMMITTED).is_file():
            found.append(CommittedCheckpoint(path=path, step=step))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def newest(checkpoints_dir: Path) -> CommittedCheckpoint | None:
    """Return the complete checkpoint with the highest step, or None."""
    found = committed(checkpoints_dir)
    return found[-1] if found else None
