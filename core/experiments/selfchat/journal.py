"""The turns of a self-chat as they come: a line each, written at once, read back on resumption.

Beside the turn a line holds `elapsed_s`: how long the self-chat had talked by then, over all
attempts. Torch-free.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from core.experiments.selfchat.transcript import Turn, read_turns, turn_row
from runs.errors import StageFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Where a turn lies in the file, in bytes."""

    offset: int
    num_bytes: int


class TurnJournal:
    """The file of one self-chat, opened by its only writer; a line cut off by a kill is removed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        content = path.read_bytes()
        self._size = content.rfind(b"\n") + 1
        if self._size < len(content):
            os.ftruncate(self._fd, self._size)
        self.turns: tuple[Turn, ...] = tuple(read_turns(path))
        last: Mapping[str, object] = (
            json.loads(content[: self._size].splitlines()[-1]) if self.turns else {}
        )
        elapsed_s = last.get("elapsed_s", 0.0)
        self.elapsed_s = float(elapsed_s) if isinstance(elapsed_s, int | float) else 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sync()
        os.close(self._fd)

    def append(self, turn: Turn, *, elapsed_s: float) -> Line:
        """Write a turn as one line.

        Raises:
            StageFailed: the disk is full; what was written stays readable.
        """
        row = {**turn_row(turn), "elapsed_s": round(elapsed_s, 3)}
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        data = text.encode("utf-8", errors="replace") + b"\n"
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            raise self._full(error.strerror) from error
        if written != len(data):
            os.ftruncate(self._fd, self._size)
            raise self._full("only a part could be written")
        line = Line(offset=self._size, num_bytes=written)
        self._size += written
        return line

    def sync(self) -> None:
        """Put what was written on disk."""
        os.fsync(self._fd)

    def _full(self, why: str | None) -> StageFailed:
        return StageFailed(
            f"{self.path} cannot be written ({why}); free some disk space, then: labcli runs resume"
        )
