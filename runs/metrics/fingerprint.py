"""Whether the files of a run have changed since something was derived from them. Stdlib only."""

from __future__ import annotations

import os
from pathlib import Path

_WATCHED = (
    "run.json",
    "control.jsonl",
    "requests.jsonl",
    "annotations.jsonl",
    "host.jsonl",
    "summary.json",
    "events",
)


def fingerprint(run_dir: Path) -> str:
    """Return a text that changes whenever a file changes that a run's rows are made from."""
    # Strings, not paths: a lab of a thousand runs has seven thousand of them.
    return " ".join([_mark(f"{run_dir}/{name}") for name in _WATCHED])


def log_fingerprint(run_dir: Path) -> str:
    """Return a text that changes whenever an event log grows."""
    try:
        with os.scandir(run_dir / "events") as entries:
            return " ".join(sorted(f"{entry.name} {entry.stat().st_size:x}" for entry in entries))
    except OSError:
        return "-"


def _mark(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return "-"
    return f"{status.st_mtime_ns:x}.{status.st_size:x}"
