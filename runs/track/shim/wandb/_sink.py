"""Where a tracked script's words go: its run's event log, and a file for what has no step.

Nothing here raises into the script, and nothing waits: what cannot be kept is dropped, and the
first time that this happens one line on stderr says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._events import load_events

# The names of runs.track.contract, which this interpreter may be unable to import.
EVENTS_VARIABLE = "LABCLI_TRACK_EVENTS"
SAID_VARIABLE = "LABCLI_TRACK_SAID"


class Sink:
    """The only writer of this process; ranks beyond the first have a log of their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._log: Any = None
        self._events: Any = None
        self._pid: int | None = None
        self._has_complained = False

    def steps(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of a step, in as many lines as they need."""
        log = self._open()
        if log is None:
            return
        with self._lock:
            for part in self._events.split_metrics(metrics):
                self._check(log.append(self._events.Step(step=step, metrics=part)))

    def alert(self, title: str, text: str, level: str) -> None:
        """Write an alert; levels are those of wandb: INFO, WARN, ERROR."""
        log = self._open()
        if log is None:
            return
        severity = {"INFO": "info", "ERROR": "error"}.get(level.upper(), "warning")
        message = f"{title}: {text}" if text else title
        event = self._events.Alert(code="script", severity=severity, message=message)
        with self._lock:
            self._check(log.append(event))

    def say(self, said: Mapping[str, Any]) -> None:
        """Replace the file that holds config, summary, name, tags and notes."""
        path = os.environ.get(SAID_VARIABLE)
        if not path or _rank():
            return
        aside = Path(f"{path}.{os.getpid()}.tmp")
        try:
            with self._lock:
                aside.parent.mkdir(parents=True, exist_ok=True)
                aside.write_text(json.dumps(said, default=str, indent=1), encoding="utf-8")
                aside.replace(path)
        except (OSError, TypeError, ValueError, RecursionError) as error:
            self.complain(f"{type(error).__name__}: {error}")
            with contextlib.suppress(OSError):
                aside.unlink()

    def complain(self, why: str) -> None:
        """Say once that something of the script's words is not kept."""
        if self._has_complained:
            return
        self._has_complained = True
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(f"labcli: not all that wandb is told is kept: {why}\n")

    def _check(self, is_written: bool) -> None:
        if not is_written:
            self.complain("the event log cannot be written")

    def _open(self) -> Any:
        # A forked process continues with a descriptor of its own.
        if self._pid == os.getpid():
            return self._log
        self._pid = os.getpid()
        path = os.environ.get(EVENTS_VARIABLE)
        if not path:
            self.complain("this script does not run under labcli track")
            return None
        try:
            self._events = load_events()
        except Exception as error:  # an interpreter too old, or a damaged installation
            self.complain(f"{type(error).__name__}: {error}")
            return None
        stem = path.removesuffix("r0.jsonl")
        self._log = self._events.EventLog(Path(f"{stem}r{_rank()}.jsonl"))
        return self._log


def _rank() -> int:
    text = os.environ.get("RANK", "0")
    return int(text) if text.isdigit() else 0


SINK = Sink()
