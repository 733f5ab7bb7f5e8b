"""The event log: what a stage may say, how a line is written, and how it is read back.

Stdlib only: every rank of every training process imports this file.
A line is JSON, at most 4 KB, appended with one `write` to a file that has one writer.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, SupportsFloat

VERSION = 1
MAX_LINE_BYTES = 4096
# What is left of a line for the metrics of a step, beside its other fields.
_METRICS_BYTES = MAX_LINE_BYTES - 256
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
EndReason = Literal["finished", "stopped", "failed", "budget"]
Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened in a stage; the subclasses are the closed set of kinds."""

    kind: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Event):
    """An attempt began; `resumed_from` is the step of the checkpoint that it continues."""

    kind: ClassVar[str] = "start"
    stage: str
    attempt: int
    config_hash: str
    host: str
    device: str
    torch: str | None
    world_size: int
    argv: tuple[str, ...]
    resumed_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """Work that is not counted in optimizer steps, or the share of it that is done."""

    kind: ClassVar[str] = "progress"
    done: float
    total: float
    unit: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Event):
    """One optimizer step; `tokens`, `train_s` and `flops` are cumulative over attempts.

    `total_steps` is None where nobody knows how many there will be.
    """

    kind: ClassVar[str] = "step"
    step: int
    total_steps: int | None = None
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Eval(Event):
    """A measurement of a model: validation bits per byte, task results, or both.

    `val_sha256` names the validation text: figures over different texts do not compare.
    """

    kind: ClassVar[str] = "eval"
    step: int
    val_bpb: float | None = None
    val_sha256: str | None = None
    results: Mapping[str, Mapping[str, float]] | None = None
    checkpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Event):
    """Text that the model wrote."""

    kind: ClassVar[str] = "sample"
    step: int
    prompt: str
    text: str
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Event):
    """One turn of a self-chat: where it belongs, its figures, and where all of it lies.

    `path` is relative to the run directory; the turn is the line of `bytes` bytes at `offset`.
    Means are over the tokens that the model chose, in nats. `end` says why the conversation
    ended with this turn.
    """

    kind: ClassVar[str] = "turn"
    conversation: int
    index: int
    side: str
    setting: int
    label: str
    tokens: int
    entropy_nats: float | None
    surprisal_nats: float | None
    text: str
    finish: str
    path: str
    offset: int
    bytes: int
    end: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Event):
    """A committed checkpoint; `path` is relative to the run directory."""

    kind: ClassVar[str] = "checkpoint"
    step: int
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Event):
    """Something later stages may use; `path` is relative to the run directory or absolute."""

    kind: ClassVar[str] = "artifact"
    name: str
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(Event):
    """Something that a person should look at."""

    kind: ClassVar[str] = "alert"
    code: str
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """A fact worth keeping beside the numbers."""

    kind: ClassVar[str] = "note"
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Event):
    """The attempt failed."""

    kind: ClassVar[str] = "error"
    type: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(Event):
    """The process is alive; `phase` names work that is longer than a step: compile, eval, ..."""

    kind: ClassVar[str] = "heartbeat"
    phase: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Event):
    """The attempt ended by itself."""

    kind: ClassVar[str] = "end"
    reason: EndReason


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One line read back: `data` holds the fields of its kind."""

    seq: int
    t: float
    kind: str
    data: Mapping[str, Any]


def encode(event: Event, *, seq: int, t: float) -> bytes:
    """Return the line for `event`, newline included, never longer than MAX_LINE_BYTES."""
    body: dict[str, Any] = {"v": VERSION, "seq": seq, "t": round(t, 3), "kind": event.kind}
    for spec in fields(event):
        value = getattr(event, spec.name)
        if value is not None:
            body[spec.name] = plain(value)
    line = _dump(body)
    limit = MAX_LINE_BYTES // 2
    while len(line) > MAX_LINE_BYTES and limit >= 8:
        body = {key: _shorten(value, limit) for key, value in body.items()}
        body["truncated"] = True
        line = _dump(body)
        limit //= 2
    if len(line) > MAX_LINE_BYTES:
        keep = ("v", "seq", "t", "kind")
        line = _dump({**{key: body[key] for key in keep}, "truncated": True})
    return line


def decode(line: bytes) -> EventRecord | None:
    """Return the record in `line`, or None when the line is torn, foreign or malformed."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or body.get("v") != VERSION:
        return None
    seq, t, kind = body.pop("seq", None), body.pop("t", None), body.pop("kind", None)
    if not isinstance(seq, int) or not isinstance(t, int | float) or not isinstance(kind, str):
        return None
    del body["v"]
    return EventRecord(seq=seq, t=float(t), kind=kind, data=body)


def split_metrics(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield `metrics` in parts that each fit into one line with room to spare, none left out.

    A single metric whose name alone is too long gets a line of its own, which is then shortened.
    """
    # A number takes at most 25 bytes, and a name at most six per character, escaped.
    if metrics and sum(map(len, metrics)) * 6 + len(metrics) * 32 <= _METRICS_BYTES:
        yield dict(metrics)
        return
    part: dict[str, Any] = {}
    room = _METRICS_BYTES
    for key, value in metrics.items():
        need = len(json.dumps(key).encode()) + 32
        if part and need > room:
            yield part
            part, room = {}, _METRICS_BYTES
        part[key] = value
        room -= need
    if part:
        yield part


def number(value: object) -> float | None:
    """Return a logged number as a float ("NaN" and "Infinity" included), else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(str(value))
    return None


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


def plain(value: Any) -> Any:
    """Return `value` as strict JSON can hold it: non-finite numbers as text, no numpy scalars."""
    kind = type(value)
    if kind is float:
        # The usual case first: the checks below take microseconds, and a step has many numbers.
        return value if math.isfinite(value) else _in_words(value)
    if kind is bool or value is None or isinstance(value, int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if not isinstance(value, SupportsFloat):
        return str(value)
    real = float(value)
    return real if math.isfinite(real) else _in_words(real)


def _in_words(real: float) -> str:
    return "NaN" if math.isnan(real) else ("Infinity" if real > 0 else "-Infinity")


def _shorten(value: Any, limit: int) -> Any:
    if isinstance(value, str) and len(value) > limit:
        return value[:limit] + "..."
    if isinstance(value, Mapping):
        return {key: _shorten(item, limit) for key, item in value.items()}
    if isinstance(value, list):
        return [_shorten(item, limit) for item in value[:limit]]
    return value


def _dump(body: Mapping[str, Any]) -> bytes:
    return _ENCODER.encode(body).encode("utf-8", errors="replace") + b"\n"
