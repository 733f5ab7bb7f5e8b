"""The toy worker, with every event that it was told is written counted in a file of its own."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

from runs.events import Event, EventLog
from tests.runs.toy_worker import main

COUNT = struct.Struct("<Q")


class AckedLog(EventLog):
    """Puts the number of acknowledged events where a kill cannot take it back."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        acks = ack_file(path)
        acks.parent.mkdir(exist_ok=True)
        self._acks = os.open(acks, os.O_WRONLY | os.O_CREAT, 0o644)
        self._num_acked = 0

    def append(self, event: Event) -> bool:
        """Write one line, then count it."""
        is_written = super().append(event)
        if is_written:
            self._num_acked += 1
            os.pwrite(self._acks, COUNT.pack(self._num_acked), 0)
        return is_written


def ack_file(events: Path) -> Path:
    """Return where the count for an event log lies."""
    return events.parent.parent / "acks" / f"{events.stem}.count"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], open_log=AckedLog))
