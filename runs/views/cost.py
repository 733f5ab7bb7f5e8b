"""What a run has taken so far: hours of its stages at work, and what they cost. From its logs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from runs.log import LogRecord, LogTail
from runs.paths import RunPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """Time of stages at work, over all attempts; `since_s` is when one began that has not ended."""

    seconds: float = 0.0
    since_s: float | None = None
    heard_s: float = 0.0

    def until(self, now_s: float | None) -> float:
        """Return the seconds at work; what has not ended counts until now, or was last heard."""
        if self.since_s is None:
            return self.seconds
        return self.seconds + max(0.0, (self.heard_s if now_s is None else now_s) - self.since_s)


def add_record(worked: Worked, record: LogRecord) -> Worked:
    """Return the time at work with one more record of control.jsonl taken into account."""
    match record.kind:
        case "launch":
            # An attempt whose end nobody saw counts until something was last heard of it.
            return Worked(seconds=worked.until(None), since_s=record.t, heard_s=record.t)
        case "exit" if worked.since_s is not None:
            return Worked(seconds=worked.until(record.t), heard_s=record.t)
    return heard(worked, record.t)


def heard(worked: Worked, heard_s: float) -> Worked:
    """Return the time at work when something was heard of it at the given time."""
    # A third of the time of `replace`, for what is done for every record.
    return Worked(seconds=worked.seconds, since_s=worked.since_s, heard_s=heard_s)


def add_records(worked: Worked, records: Iterable[LogRecord]) -> Worked:
    """Return the time at work with more records of control.jsonl taken into account."""
    for record in records:
        worked = add_record(worked, record)
    return worked


@dataclass(slots=True)
class WorkMeter:
    """Adds up the time at work of several runs, reading only what was added since last time."""

    run_dirs: list[Path]
    _tails: dict[Path, LogTail] = field(default_factory=dict)
    _worked: dict[Path, Worked] = field(default_factory=dict)

    def seconds(self, own: Path, now_s: float) -> float:
        """Return the seconds at work of all runs; that of `own` counts until now."""
        total = 0.0
        for run_dir in self.run_dirs:
            tail = self._tails.setdefault(run_dir, LogTail(RunPaths(run_dir).control))
            worked = add_records(self._worked.get(run_dir, Worked()), tail.read())
            self._worked[run_dir] = worked
            total += worked.until(now_s if run_dir == own else None)
        return total


def worked_s(run_dir: Path, now_s: float | None = None) -> float:
    """Return the seconds that the stages of a run were at work; None: until it was last heard."""
    return add_records(Worked(), LogTail(RunPaths(run_dir).control).read()).until(now_s)
