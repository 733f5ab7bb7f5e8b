"""What every importer returns: a run of another tool, as far as its files tell it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runs.events import Event, number

Format = Literal["wandb", "tensorboard", "trackio", "nanochat", "csv", "jsonl"]
# How the other tool says that a run ended; None where its files do not say.
Outcome = Literal["finished", "failed"]
# The names under which rows hold their step, the likeliest first.
STEP_NAMES = ("step", "_step", "global_step", "trainer/global_step", "iteration", "iter")
TIME_NAMES = ("_timestamp", "time_s", "timestamp", "t", "time")
# Later than 2001: smaller numbers are seconds since the start of a run, not Unix time.
_MIN_UNIX_S = 1e9
_MAX_UNIX_S = 1e11


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One event of the other tool, at a Unix time; None where its files have no times."""

    t: float | None
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRun:
    """One run of another tool.

    `key` names it among the runs in the same files, `about` holds what else those say of it, and
    `problems` tell in one line each what could not be read.
    """

    format: Format
    paths: tuple[Path, ...]
    key: str
    name: str
    points: Sequence[Point]
    config: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: str = ""
    started_s: float | None = None
    ended_s: float | None = None
    outcome: Outcome | None = None
    failure: str | None = None
    problems: tuple[str, ...] = ()


def row_step(row: Mapping[str, Any]) -> int | None:
    """Return the step that a row names, or None."""
    for name in STEP_NAMES:
        value = number(row.get(name))
        if value is not None and value >= 0 and value == int(value):
            return int(value)
    return None


def row_time(row: Mapping[str, Any]) -> float | None:
    """Return the Unix time that a row names, or None."""
    for name in TIME_NAMES:
        value = number(row.get(name))
        if value is not None and _MIN_UNIX_S < value < _MAX_UNIX_S:
            return value
    return None


def row_numbers(row: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[Any]:
    """Yield (name, number) of a row; nested names are joined by dots, other values left out."""
    for key, value in row.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            if depth < 8:
                yield from row_numbers(value, f"{name}.", depth + 1)
            continue
        real = float(value) if isinstance(value, bool) else number(value)
        if real is not None:
            yield name, real
