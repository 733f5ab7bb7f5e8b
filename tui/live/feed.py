"""Reads a run's event logs and worker logs by byte offset, a bounded amount at a time.

No widgets, no threads: the dashboard calls `poll` every 50 ms, and drains a large backlog in a
thread worker first.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from heapq import merge
from pathlib import Path

from runs.alerting.host_alerts import alert_from
from runs.events import MAX_LINE_BYTES, EventRecord, EventTail
from runs.log import LogTail as RecordTail
from runs.paths import RunPaths
from tui.live.state import HOST_SAMPLE, StageRecord

# Decoding 256 KB takes about 3 ms, so one poll never delays a key press noticeably.
POLL_BYTES = 256 * 1024
DRAIN_BYTES = 4 * 1024 * 1024
LOG_BACKLOG_BYTES = 64 * 1024
_EVENT_FILE = re.compile(r"(?P<stage>.+)\.a(?P<attempt>\d+)\.r(?P<rank>\d+)\.jsonl")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class RunFeed:
    """The event logs of one run: of all stages, in the order of `stages`, attempts and ranks."""

    def __init__(self, run_dir: Path, stages: Sequence[str] = ()) -> None:
        self.run_dir = run_dir
        self._host = RecordTail(RunPaths(run_dir).host)
        self._place = {stage: place for place, stage in enumerate(stages)}
        self._tails: dict[tuple[str, int, int], EventTail] = {}
        self._waiting: list[StageRecord] = []

    def poll(self, *, max_bytes: int = POLL_BYTES) -> list[StageRecord]:
        """Return the new records, attempts in order, from about `max_bytes` of new lines."""
        self._discover()
        found: list[StageRecord] = []
        is_behind = False
        for stage, attempt, rank in sorted(self._tails, key=self._order):
            tail = self._tails[stage, attempt, rank]
            if not _has_more(tail):
                continue
            before = tail.offset
            found += [
                StageRecord(stage=stage, attempt=attempt, rank=rank, record=record)
                for record in tail.read(max_bytes=max_bytes)
            ]
            num_read = tail.offset - before
            max_bytes -= num_read
            # A later attempt decides what becomes a ghost: it waits until this one is read.
            # A file that yields nothing ends in a torn line, which nobody will finish.
            if (num_read and _has_more(tail)) or max_bytes < MAX_LINE_BYTES:
                is_behind = True
                break
        until_s = max((item.record.t for item in found), default=0.0) if is_behind else math.inf
        return list(merge(found, self._host_until(until_s), key=lambda item: item.record.t))

    @property
    def num_malformed(self) -> int:
        """How many lines could not be read."""
        return sum(tail.num_malformed for tail in self._tails.values())

    def _host_until(self, t: float) -> list[StageRecord]:
        """Return what is new of the machine up to a time; the rest waits for events to get there.

        Its log is short and read at once, while hours of events may still be unread.
        """
        self._waiting += self._read_host()
        due = [item for item in self._waiting if item.record.t <= t]
        self._waiting = self._waiting[len(due) :]
        return due

    def _read_host(self) -> list[StageRecord]:
        """Return new samples of the machine and alerts of the supervisor."""
        found = []
        for record in self._host.read():
            if record.kind not in ("alert", "sample"):
                continue
            alert = alert_from(record.t, record.data)
            kind = "alert" if record.kind == "alert" else HOST_SAMPLE
            found.append(
                StageRecord(
                    stage=alert.stage or "run",
                    attempt=alert.attempt or 0,
                    rank=0,
                    record=EventRecord(seq=0, t=record.t, kind=kind, data=record.data),
                )
            )
        return found

    def _order(self, key: tuple[str, int, int]) -> tuple[int, str, int, int]:
        return (self._place.get(key[0], len(self._place)), *key)

    def _discover(self) -> None:
        try:
            names = [path.name for path in RunPaths(self.run_dir).events_dir.iterdir()]
        except OSError:
            return
        for name in names:
            match = _EVENT_FILE.fullmatch(name)
            if match:
                key = (match["stage"], int(match["attempt"]), int(match["rank"]))
                if key not in self._tails:
                    self._tails[key] = EventTail(RunPaths(self.run_dir).events(*key))


class LogTail:
    """The lines of one worker log, from a bounded backlog on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset: int | None = None

    def read(self, *, max_bytes: int = LOG_BACKLOG_BYTES) -> list[str]:
        """Return the complete new lines, free of escape sequences."""
        try:
            with open(self.path, "rb") as stream:
                if self._offset is None:
                    self._offset = max(0, stream.seek(0, os.SEEK_END) - max_bytes)
                stream.seek(self._offset)
                chunk = stream.read(max_bytes)
        except OSError:
            return []
        end = chunk.rfind(b"\n") + 1
        if not end and len(chunk) == max_bytes:
            end = len(chunk)
        self._offset += end
        lines = chunk[:end].decode("utf-8", errors="replace").split("\n")
        return [plain_line(line) for line in lines if line.strip()]


def plain_line(line: str) -> str:
    """Return a line as it would stand after its escapes and carriage returns took effect."""
    shown = _ESCAPES.sub("", line.rstrip("\r\n")).rsplit("\r", 1)[-1]
    return _CONTROLS.sub("", shown.expandtabs(4))


def _has_more(tail: EventTail) -> bool:
    try:
        return tail.path.stat().st_size > tail.offset
    except OSError:
        return False
