"""Append-only logs of JSON objects: control, requests, annotations and host samples.

Every line is written by one `write` on an O_APPEND file, so several processes may append to
the same log; readers skip a line that a crash or a full disk has torn.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.events import plain

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One line of a log: when, what kind, and the fields of that kind."""

    t: float
    kind: str
    data: Mapping[str, Any]

    def text(self, key: str) -> str | None:
        """Return a field when it is text."""
        value = self.data.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        """Return a field when it is a whole number."""
        value = self.data.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def append_record(
    path: Path,
    kind: str,
    data: Mapping[str, Any],
    *,
    clock: Callable[[], float] = time.time,
    sync: bool = False,
) -> bool:
    """Append one line and return whether it was written whole; `sync` puts it on disk."""
    body = plain({"v": VERSION, "t": round(clock(), 3), "kind": kind, **data})
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    line = text.encode("utf-8", errors="replace") + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            if _ends_torn(fd):
                line = b"\n" + line
            is_whole = os.write(fd, line) == len(line)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        return False
    return is_whole


def decode_record(line: bytes | str) -> LogRecord | None:
    """Return the record in a line, or None when it is torn, foreign or malformed."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _record(body)


def _decode_lines(lines: list[str]) -> list[LogRecord]:
    # At once, which takes half as long; one by one where the lines are not all whole.
    try:
        bodies = json.loads(f"[{','.join(lines)}]")
    except (ValueError, RecursionError):
        bodies = []
    if len(bodies) == len(lines):
        decoded = map(_record, bodies)
    else:
        decoded = map(decode_record, lines)
    return [record for record in decoded if record is not None]


def _record(body: Any) -> LogRecord | None:
    if not isinstance(body, dict) or body.get("v") != VERSION:
        return None
    t, kind = body.get("t"), body.get("kind")
    if isinstance(t, bool) or not isinstance(t, int | float) or not isinstance(kind, str):
        return None
    del body["v"], body["t"], body["kind"]
    return LogRecord(t=float(t), kind=kind, data=body)


class LogTail:
    """Reads the complete lines that were added to a log since the last call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def read(self) -> list[LogRecord]:
        """Return the new records; a missing file yields none, a shrunken one starts over."""
        try:
            with open(self.path, "rb") as stream:
                if os.fstat(stream.fileno()).st_size < self.offset:
                    self.offset = 0
                stream.seek(self.offset)
                chunk = stream.read()
        except OSError:
            return []
        end = chunk.rfind(b"\n") + 1
        self.offset += end
        lines = chunk[:end].decode("utf-8", errors="replace").split("\n")
        return _decode_lines([line for line in lines if line])


def read_log(path: Path) -> list[LogRecord]:
    """Return every readable record of a log."""
    return LogTail(path).read()


def _ends_torn(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return size > 0 and os.pread(fd, 1, size - 1) != b"\n"
