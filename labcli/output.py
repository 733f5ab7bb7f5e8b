"""What a command gives back: the only place that writes to stdout.

A listing is a sequence of plain mappings; the same rows become a table, JSON, JSON lines or CSV.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

Row = Mapping[str, Any]


class Format(StrEnum):
    """The forms a listing can take."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class OutputClosedError(Exception):
    """Whoever read stdout has gone; there is nothing left to do, and nothing went wrong."""


def emit(text: str) -> None:
    """Write one piece of text and a newline.

    Raises:
        OutputClosedError: the reader of a pipe has gone.
    """
    emit_part(text + "\n")


def emit_part(text: str) -> None:
    """Write text as it is, such as the next piece of an answer, and show it at once.

    Raises:
        OutputClosedError: the reader of a pipe has gone.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
        raise OutputClosedError from None


def emit_bytes(data: bytes) -> None:
    """Write bytes as they are, which need not be text.

    Raises:
        OutputClosedError: the reader of a pipe has gone.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        discard_stdout()
        raise OutputClosedError from None


def discard_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush cannot complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def stdout_columns() -> int | None:
    """Return the width of the terminal that stdout is; absent for a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def emit_json(value: Any) -> None:
    """Write one JSON document."""
    emit(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def emit_json_line(value: Any) -> None:
    """Write one JSON document on one line."""
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    emit(text)


def emit_rows(rows: Sequence[Row], form: Format, *, table: str, columns: Sequence[str]) -> None:
    """Write a listing: `table` is its readable form, `columns` the fields of its CSV form."""
    if form is Format.JSON:
        emit_json(rows)
    elif form is Format.JSONL:
        for row in rows:
            emit_json_line(row)
    elif form is Format.CSV:
        emit(to_csv(rows, columns))
    else:
        emit(table)


def to_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Return rows as CSV with a header line; lists are joined by spaces."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return buffer.getvalue().rstrip("\n")


def plain(value: Any) -> Any:
    """Return a value that JSON can hold: numbers that are not finite become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value)
    return "" if value is None else value
