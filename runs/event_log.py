"""Writing an event log: one file, one writer, one `write` per event. Stdlib only."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from .codec import encode
from .event_kinds import Alert, Event


class EventLog:
    """Appends events to one file; a full disk is counted and reported, never raised.

    The file is opened lazily, with O_APPEND, and this object must be its only writer.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._fd: int | None = None
        self._seq = 0
        self._is_torn = False
        self.num_dropped = 0

    def append(self, event: Event) -> bool:
        """Write one line; return False, and count it, when it could not be written whole."""
        if self.num_dropped and not isinstance(event, Alert) and not self._report_drops():
            self.num_dropped += 1
            return False
        return self._write(event)

    def sync(self) -> None:
        """Ask the system to put what was written on disk."""
        try:
            if self._fd is not None:
                os.fsync(self._fd)
        except OSError:
            return

    def close(self) -> None:
        """Flush and close the file."""
        self.sync()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _report_drops(self) -> bool:
        lost = self.num_dropped
        self.num_dropped = 0
        alert = Alert(code="events-dropped", severity="warning", message=f"{lost} events lost")
        if self._write(alert):
            return True
        self.num_dropped = lost
        return False

    def _write(self, event: Event) -> bool:
        line = encode(event, seq=self._seq, t=self._clock())
        if self._is_torn:
            line = b"\n" + line
        try:
            if self._fd is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o644)
            written = os.write(self._fd, line)
        except OSError:
            self.num_dropped += 1
            return False
        if written != len(line):
            self._is_torn = True
            self.num_dropped += 1
            return False
        self._is_torn = False
        self._seq += 1
        return True
