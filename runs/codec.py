"""One event as one line of JSON, and back. Stdlib only: every rank of every training imports this.

A line is UTF-8, at most 4 KB, and strict JSON: numbers that are not finite are text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, SupportsFloat

from .event_kinds import Event, Step

VERSION = 1
MAX_LINE_BYTES = 4096
# What is left of a line for the metrics of a step, beside its other fields.
_METRICS_BYTES = MAX_LINE_BYTES - 256
# Made once: json.dumps with these settings makes a new encoder at every call.
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One line read back: `data` holds the fields of its kind."""

    seq: int
    t: float
    kind: str
    data: Mapping[str, Any]


def encode(event: Event, *, seq: int, t: float) -> bytes:
    """Return the line for `event`, newline included, never longer than MAX_LINE_BYTES."""
    if isinstance(event, Step):
        quick = _encode_step(event, seq, t)
        if quick is not None:
            return quick
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
    if not is_event(body):
        return None
    seq, t, kind = body.pop("seq"), body.pop("t"), body.pop("kind")
    del body["v"]
    return EventRecord(seq=seq, t=float(t), kind=kind, data=body)


def is_event(body: Any) -> bool:
    """Return whether a parsed line is one of our events, whatever its kind says."""
    return (
        isinstance(body, dict)
        and body.get("v") == VERSION
        and isinstance(body.get("seq"), int)
        and isinstance(body.get("t"), int | float)
        and isinstance(body.get("kind"), str)
    )


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
    if type(value) is float:
        # The usual case first: the checks below take four times as long.
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(str(value))
    return None


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


def _encode_step(event: Step, seq: int, t: float) -> bytes | None:
    # Steps are most of what a training says; the general way takes six times as long.
    try:
        metrics = _to_json(event.metrics)
        total = "" if event.total_steps is None else f'"total_steps":{event.total_steps:d},'
        line = (
            f'{{"v":{VERSION},"seq":{seq},"t":{round(t, 3)!r},"kind":"step","step":{event.step:d},'
            f'{total}"metrics":{metrics}}}\n'
        ).encode()
    except (TypeError, ValueError):
        return None
    return line if len(line) <= MAX_LINE_BYTES else None


def _dump(body: Mapping[str, Any]) -> bytes:
    return _to_json(body).encode("utf-8", errors="replace") + b"\n"
