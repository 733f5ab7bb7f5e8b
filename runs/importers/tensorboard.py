"""Event files of TensorBoard, read without the tensorboard package.

Framing of TFRecord: length (8 bytes), its masked crc32c, the data, and its masked crc32c. The data
is an Event of event.proto, whose field numbers are those below. One directory is one run.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from runs.errors import Corrupt
from runs.events import Event, Note, Step
from runs.importers.protobuf import Malformed, Message
from runs.importers.source import ForeignRun, Point

_WALL_TIME, _STEP, _SUMMARY = 1, 2, 5
_TAG, _SIMPLE_VALUE, _TENSOR, _METADATA = 1, 2, 8, 9
_CRC_BYTES = 4
_MASK_DELTA = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78


@dataclass(slots=True)
class _Told:
    """What the event files of one directory say so far."""

    rows: dict[int, tuple[float, dict[str, float]]] = field(default_factory=dict)
    notes: list[Point] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    num_other: int = 0
    problems: list[str] = field(default_factory=list)


def is_event_file(path: Path) -> bool:
    """Return whether a file is named as TensorBoard names its event files."""
    return ".tfevents." in path.name


def read_tensorboard(paths: list[Path], name: str) -> list[ForeignRun]:
    """Return the run that the event files of one directory make up.

    Raises:
        Corrupt: not one event in them can be read.
    """
    told, points, num_events = _Told(), [], 0
    for path in sorted(paths):
        for raw in _records(path, told.problems):
            try:
                _take(told, Message(raw))
                num_events += 1
            except Malformed:
                told.problems.append(f"{path.name}: an event cannot be understood")
        points += _points(told)
    if not num_events:
        raise Corrupt(f"{paths[0]} holds no readable event of TensorBoard; it may be damaged")
    times = [point.t for point in points if point.t is not None]
    if told.num_other:
        told.problems.append(f"{told.num_other} images, texts and histograms are left out")
    return [
        ForeignRun(
            format="tensorboard",
            paths=tuple(sorted(paths)),
            key=name,
            name=name,
            points=points,
            config=told.config,
            started_s=min(times, default=None),
            ended_s=max(times, default=None),
            problems=tuple(dict.fromkeys(told.problems)),
        )
    ]


def _points(told: _Told) -> list[Point]:
    rows, told.rows = told.rows, {}
    notes, told.notes = told.notes, []
    steps = [
        Point(t=t, event=Step(step=step, metrics=metrics)) for step, (t, metrics) in rows.items()
    ]
    return notes + steps


def _take(told: _Told, event: Message) -> None:
    t, step = event.double(_WALL_TIME) or 0.0, max(0, event.integer(_STEP))
    for value in event.message(_SUMMARY).messages(1):
        tag = value.text(_TAG)
        plugin = value.message(_METADATA).message(1)
        if plugin.text(1) == "hparams":
            told.config.update(_hyperparameters(plugin))
            continue
        found = value.floats(_SIMPLE_VALUE) or _scalar(value.message(_TENSOR), plugin.text(1))
        if found:
            # Values of one step come as events of their own; they are one row.
            told.rows.setdefault(step, (t, {}))[1][tag] = found[-1]
        elif text := _text(value.message(_TENSOR), plugin.text(1)):
            told.notes.append(Point(t=t, event=_note(tag, text)))
        else:
            told.num_other += 1


def _note(tag: str, text: str) -> Event:
    return Note(message=tag, data={"text": text})


def _text(tensor: Message, plugin: str) -> str:
    return tensor.text(8) if plugin == "text" else ""


def _scalar(tensor: Message, plugin: str) -> list[float]:
    """Return the number in a TensorProto of type float (1), double (2), int32 (3) or int64 (9)."""
    if plugin not in ("", "scalars"):
        return []
    kind, content = tensor.integer(1), tensor.raw(4)
    letter = {1: "f", 2: "d", 3: "i", 9: "q"}.get(kind)
    if letter is None:
        return []
    if content is not None and len(content) == struct.calcsize(letter):
        return [float(struct.unpack(f"<{letter}", content)[0])]
    if kind == 1:
        return tensor.floats(5)
    double = tensor.double(6) if kind == 2 else None
    return [] if double is None else [double]


def _hyperparameters(plugin: Message) -> dict[str, Any]:
    content = Message(plugin.raw(2) or b"")
    found: dict[str, Any] = {}
    for entry in content.message(3).messages(1):
        value = entry.message(2)
        number = value.double(2)
        if number is not None:
            found[entry.text(1)] = number
        elif 4 in value:
            found[entry.text(1)] = bool(value.integer(4))
        else:
            found[entry.text(1)] = value.text(3)
    return found


def _records(path: Path, problems: list[str]) -> Iterator[bytes]:
    data = path.read_bytes()
    at = 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        end = at + 12 + length
        if _masked(data[at : at + 8]) != data[at + 8 : at + 12]:
            problems.append(f"{path.name} is damaged at byte {at}; what follows is lost")
            return
        if end + _CRC_BYTES > len(data):
            break
        body = data[at + 12 : end]
        if _masked(body) == data[end : end + _CRC_BYTES]:
            yield body
        else:
            problems.append(f"{path.name}: an event is damaged and left out")
        at = end + _CRC_BYTES
    if at < len(data):
        problems.append(f"{path.name} ends within an event, which is lost")


def _masked(data: bytes) -> bytes:
    """Return crc32c as TFRecord stores it: rotated, and a constant added."""
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)


@cache
def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        rows.append(byte)
    return tuple(rows)
