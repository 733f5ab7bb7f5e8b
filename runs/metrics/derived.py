"""What a run directory holds only for speed, made again from its events where it is missing."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from runs.errors import LabError
from runs.metrics.compact import FORMAT, compact_stage
from runs.views.facts import EventFile, OneReading, read_once, sizes
from runs.views.query import load_run
from runs.views.states import ACTIVE
from runs.views.summary import write_summary


def refresh(run_dir: Path) -> OneReading:
    """Bring metrics and summary of a run that has ended up to date; return them as they are now.

    A run that cannot be read is left as it is: the registry shows it with its problem. So is one
    that this user may only read.
    """
    once = read_once(run_dir)
    if is_current(once) or load_run(run_dir).state in ACTIVE:
        return once
    try:
        for stage in once.files:
            compact_stage(run_dir, stage)
        write_summary(run_dir)
    except LabError:
        return once
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return once
    return read_once(run_dir)


def is_current(once: OneReading) -> bool:
    """Return whether the summary was made from the event logs as they are now."""
    if not once.summaries:
        return False
    return all(_is_current(once.summaries.get(stage), files) for stage, files in once.files.items())


def _is_current(summary: Any, files: list[EventFile]) -> bool:
    if not isinstance(summary, dict) or summary.get("files") != sizes(files):
        return False
    return not summary.get("metrics") or summary.get("metrics_format") == FORMAT
