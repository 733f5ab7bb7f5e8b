"""Offline runs of wandb: the `.wandb` file, read without the wandb package.

The file is a record log in the framing of LevelDB: a header of 7 bytes, then blocks of 32 KiB with
fragments of (crc32, length, type). A record is a protocol buffer of wandb_internal.proto, whose
field numbers are those below. Values are JSON text.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.errors import Corrupt
from runs.events import Alert, Step
from runs.importers.protobuf import Malformed, Message
from runs.importers.source import (
    STEP_NAMES,
    ForeignRun,
    Outcome,
    Point,
    row_numbers,
    row_step,
    row_time,
)

MAGIC = b":W&B"
_HEADER_BYTES = 7
_BLOCK_BYTES = 32768
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# Fields of Record, and of the messages in it.
_HISTORY, _CONFIG, _ALERT, _RUN, _EXIT, _ENVIRONMENT = 2, 5, 10, 17, 18, 26
_ITEM_KEY, _ITEM_NESTED_KEY, _ITEM_JSON = 1, 2, 16


@dataclass(slots=True)
class _Told:
    """What the records say so far."""

    run: Message = field(default_factory=lambda: Message(b""))
    config: dict[str, Any] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    exit_code: int | None = None
    commit: str = ""
    host: str = ""
    num_bad: int = 0


def read_wandb(path: Path) -> list[ForeignRun]:
    """Return the one run in a `.wandb` file.

    Raises:
        Corrupt: it is no such file, or not a record in it can be read.
    """
    data = path.read_bytes()
    if data[:4] != MAGIC:
        raise Corrupt(f"{path} is not an offline run of wandb: it does not begin with {MAGIC!r}")
    told, num_records = _Told(), 0
    problems: list[str] = []
    for raw in _records(data, problems):
        num_records += 1
        try:
            _take(told, Message(raw))
        except (Malformed, ValueError, RecursionError):
            told.num_bad += 1
    if num_records == told.num_bad:
        raise Corrupt(f"{path} holds no readable record of wandb; it may be cut or damaged")
    if told.num_bad:
        problems.append(f"{told.num_bad} of {num_records} records cannot be understood")
    return [_run(path, told, problems)]


def _run(path: Path, told: _Told, problems: Sequence[str]) -> ForeignRun:
    run = told.run
    started = run.message(17)
    started_s = started.integer(1) + started.integer(2) / 1e9 or None
    outcome: Outcome | None = "finished" if told.exit_code == 0 else "failed"
    failure = None
    if told.exit_code is None:
        failure = "its wandb log has no exit record: the process died, or still ran when copied"
    elif told.exit_code != 0:
        failure = f"the script ended with exit code {told.exit_code}"
    about = {
        "run_id": run.text(1), "entity": run.text(2), "project": run.text(3),
        "group": run.text(6), "job_type": run.text(7), "host": run.text(13) or told.host,
        "commit": run.message(21).text(2) or told.commit, "exit_code": told.exit_code,
    }  # fmt: skip
    return ForeignRun(
        format="wandb",
        paths=(path,),
        key=run.text(1) or path.stem,
        name=run.text(8) or run.text(1) or path.stem,
        points=told.points,
        config=told.config,
        about={key: value for key, value in about.items() if value not in ("", None)},
        tags=tuple(run.texts(10)),
        notes=run.text(9),
        started_s=started_s,
        ended_s=max((point.t for point in told.points if point.t), default=None),
        outcome=outcome,
        failure=failure,
        problems=tuple(problems),
    )


def _take(told: _Told, record: Message) -> None:
    if _HISTORY in record:
        row = _items(record.message(_HISTORY).messages(1))
        # The script's own step is the axis that it means; _step counts its calls of log.
        step = row_step(row)
        kept = {k: v for k, v in row.items() if not k.startswith("_") and k not in STEP_NAMES}
        metrics = dict(row_numbers(kept))
        if step is not None and metrics:
            told.points.append(Point(t=row_time(row), event=Step(step=step, metrics=metrics)))
    elif _RUN in record:
        told.run = record.message(_RUN)
        told.config.update(_config(told.run.message(4)))
    elif _CONFIG in record:
        told.config.update(_config(record.message(_CONFIG)))
    elif _EXIT in record:
        told.exit_code = record.message(_EXIT).integer(1)
    elif _ENVIRONMENT in record:
        environment = record.message(_ENVIRONMENT)
        told.host = environment.text(12)
        told.commit = environment.message(9).text(2)
    elif _ALERT in record:
        alert = record.message(_ALERT)
        message = f"{alert.text(1)}: {alert.text(2)}"
        at = told.points[-1].t if told.points else None
        event = Alert(code="script", severity="warning", message=message)
        told.points.append(Point(t=at, event=event))


def _config(message: Message) -> dict[str, Any]:
    items = _items(message.messages(1))
    # wandb keeps its own facts under this key.
    return {key: value for key, value in items.items() if key != "_wandb"}


def _items(messages: Iterator[Message]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in messages:
        name = item.text(_ITEM_KEY) or ".".join(item.texts(_ITEM_NESTED_KEY))
        text = item.text(_ITEM_JSON)
        try:
            row[name] = json.loads(text)
        except ValueError:
            row[name] = text
    return row


def _records(data: bytes, problems: list[str]) -> Iterator[bytes]:
    at, parts = _HEADER_BYTES, b""
    while at + 7 <= len(data):
        left = _BLOCK_BYTES - at % _BLOCK_BYTES
        if left < 7:
            at += left
            continue
        crc, length, kind = struct.unpack_from("<IHB", data, at)
        body = data[at + 7 : at + 7 + length]
        if kind == 0 and length == 0:
            at += left
            continue
        if len(body) < length:
            break
        if length + 7 > left or zlib.crc32(bytes([kind]) + body) != crc:
            problems.append(f"the block of 32 KiB at byte {at} is damaged; the rest of it is lost")
            at, parts = at + left, b""
            continue
        at += 7 + length
        if kind == _FULL:
            yield body
        elif kind == _FIRST:
            parts = body
        elif kind in (_MIDDLE, _LAST):
            parts += body
            if kind == _LAST:
                yield parts
                parts = b""
    if at < len(data) and any(data[at:]):
        problems.append("the file ends within a record, which is lost")
