"""The `[queue]` table of settings.toml: how many runs may be at work at once, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runs.errors import UsageError, nearest

_KEYS = ("max_runs", "gpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """max_runs: runs at once on the CPU. gpus: the indices to use; None: all that NVML sees."""

    max_runs: int = 1
    gpus: tuple[int, ...] | None = None


def queue_settings(table: object, source: str) -> QueueSettings:
    """Return the settings in the `[queue]` table of the file that `source` names.

    Raises:
        UsageError: a key is unknown, or a value is of the wrong kind.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{source}: `queue` must be a table")
    for key in table:
        if key not in _KEYS:
            raise UsageError(f"{source}: [queue] has no {key!r}{nearest(key, _KEYS)}")
    max_runs, gpus = table.get("max_runs", 1), table.get("gpus")
    if not _is_count(max_runs) or max_runs < 1:
        raise UsageError(f"{source}: queue.max_runs is a count of 1 or more")
    if gpus is not None and not (isinstance(gpus, list) and all(map(_is_count, gpus))):
        raise UsageError(f"{source}: queue.gpus is a list of indices, such as [0, 1]")
    return QueueSettings(max_runs=max_runs, gpus=None if gpus is None else tuple(gpus))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
