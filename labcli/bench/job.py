"""What one worker process is asked to measure, and what it answers; both travel as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from labcli.bench.tools import Task

Pass = Literal["first", "warm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One measurement: paths are absolute; training writes `merges_file`, encoding reads it."""

    task: Task
    tool: str
    text: str
    text_file: str | None
    pattern: str
    num_merges: int
    merges_file: str

    def to_json(self) -> str:
        """Return the one argument of the worker."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job in a worker's argument."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one section cost; `passed` is absent in training, `sha256` when nothing was made."""

    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    sha256: str | None = None
    passed: Pass | None = None
    num_merges: int | None = None


def to_answer(found: list[Measurement]) -> list[dict[str, Any]]:
    """Return measurements as the worker prints them."""
    return [asdict(item) for item in found]


def from_answer(line: str) -> list[Measurement]:
    """Return the measurements in a worker's line."""
    return [Measurement(**item) for item in json.loads(line)]
