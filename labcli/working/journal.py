"""The events of one rank on their way to its log, and its sign of life while it is silent."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from runs.events import Alert, Checkpoint, End, Error, Event, EventLog, Heartbeat, Start

HEARTBEAT_S = 2.0
# Numbers are the same on every rank: rank 0 speaks for all but trouble and signs of life.
_EVERY_RANK = (Start, Error, Alert, Heartbeat, End)
# Modules whose functions are only ever on the stack while something longer than a step is done.
_PHASES = (
    ("core.checkpoint", "checkpoint"),
    ("core.evals", "eval"),
    ("core.engine", "eval"),
    ("torch._dynamo.convert_frame", "compile"),
    ("torch._inductor.compile_fx", "compile"),
)


class Journal:
    """Writes the events of this rank, and a heartbeat whenever the stage is silent for long."""

    def __init__(self, path: Path, *, rank: int) -> None:
        self._log = EventLog(path)
        self._rank = rank
        self._lock = threading.Lock()
        self._last_s = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Journal:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closed.set()
        self._thread.join()
        self._log.close()

    def write(self, event: Event) -> None:
        """Append an event that this rank may write; put milestones on disk at once."""
        if self._rank and not isinstance(event, _EVERY_RANK):
            return
        with self._lock:
            self._log.append(event)
            self._last_s = time.monotonic()
            if isinstance(event, Checkpoint | End):
                self._log.sync()

    def _beat(self) -> None:
        while not self._closed.wait(HEARTBEAT_S / 4):
            with self._lock:
                if time.monotonic() - self._last_s >= HEARTBEAT_S:
                    self._log.append(Heartbeat(phase=current_phase(sys._current_frames())))
                    self._last_s = time.monotonic()


def current_phase(frames: Mapping[int, FrameType]) -> str | None:
    """Return what this process is at when it is not making steps, from the stacks of its threads.

    The stacks know it without the stage having to say so, and cannot be left out of date.
    """
    for top in frames.values():
        frame: FrameType | None = top
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            for prefix, phase in _PHASES:
                if module == prefix or module.startswith(f"{prefix}."):
                    return phase
            frame = frame.f_back
    return None
