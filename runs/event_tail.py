"""Reading an event log back, from the start or from where the last read ended. Stdlib only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .codec import MAX_LINE_BYTES, EventRecord, decode


class EventTail:
    """Reads the complete lines that were added to a file since the last call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.num_malformed = 0

    def read(self, *, max_bytes: int | None = None) -> list[EventRecord]:
        """Return the new records; a missing file or an unfinished last line yields none."""
        try:
            with open(self.path, "rb") as stream:
                stream.seek(self.offset)
                # At least one whole line, or a small bound would never get past a long one.
                limit = None if max_bytes is None else max(max_bytes, 2 * MAX_LINE_BYTES)
                chunk = stream.read(limit)
        except OSError:
            return []
        end = chunk.rfind(b"\n") + 1
        self.offset += end
        records = []
        for line in chunk[:end].splitlines():
            if not line.strip():
                continue
            record = decode(line)
            if record is None:
                self.num_malformed += 1
            else:
                records.append(record)
        return records


def read_events(path: Path) -> Iterator[EventRecord]:
    """Yield every readable record of a file."""
    yield from EventTail(path).read()
