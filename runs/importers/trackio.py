"""Projects of trackio: one SQLite file with the runs of a project, metrics as JSON per step."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runs.errors import Corrupt
from runs.events import Alert, Severity, Step
from runs.importers.source import ForeignRun, Point, row_numbers

MAGIC = b"SQLite format 3\0"
_COLUMNS = frozenset({"run_name", "step", "metrics", "timestamp"})
_LEVELS: dict[str, Severity] = {"info": "info", "error": "error"}


def is_project(path: Path) -> bool:
    """Return whether a SQLite file has the table in which trackio keeps metrics."""
    try:
        with closing(_open(path)) as connection:
            return _columns(connection) >= _COLUMNS
    except sqlite3.Error:
        return False


def read_trackio(path: Path) -> list[ForeignRun]:
    """Return the runs in a project's file, the first one first.

    Raises:
        Corrupt: it is no SQLite file, or not one of trackio.
    """
    try:
        with closing(_open(path)) as connection:
            return list(_runs(path, connection))
    except sqlite3.Error as error:
        raise Corrupt(f"{path} is not a readable project of trackio: {error}") from None


def _open(path: Path) -> sqlite3.Connection:
    # Read-only: a project that trackio has open is neither changed nor locked.
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=5.0)


def _columns(connection: sqlite3.Connection) -> set[str]:
    return {str(row[1]) for row in connection.execute("PRAGMA table_info(metrics)")}


def _runs(path: Path, connection: sqlite3.Connection) -> Iterator[ForeignRun]:
    columns = _columns(connection)
    if not columns >= _COLUMNS:
        raise Corrupt(f"{path} is not a project of trackio: it has no table of metrics")
    # Older files know runs by name alone.
    key = "run_id" if "run_id" in columns else "run_name"
    found = connection.execute(
        f"SELECT {key}, run_name FROM metrics GROUP BY {key} ORDER BY min(id)"
    ).fetchall()
    for run_id, name in found:
        points, num_bad = _points(connection, key, run_id)
        times = [point.t for point in points if point.t is not None]
        config = _config(connection, key, run_id)
        problems = [f"{num_bad} rows of metrics cannot be read"] if num_bad else []
        yield ForeignRun(
            format="trackio",
            paths=(path,),
            key=str(run_id),
            name=str(name),
            points=points + _alerts(connection, key, run_id),
            config={k: v for k, v in config.items() if not k.startswith("_")},
            about={"run_id": str(run_id), "project": path.stem},
            started_s=min(times, default=None),
            ended_s=max(times, default=None),
            problems=tuple(problems),
        )


def _points(connection: sqlite3.Connection, key: str, run_id: Any) -> tuple[list[Point], int]:
    points, num_bad = [], 0
    query = f"SELECT timestamp, step, metrics FROM metrics WHERE {key} = ? ORDER BY id"
    for stamp, step, text in connection.execute(query, [run_id]):
        row = _object(text)
        if row is None or not isinstance(step, int) or step < 0:
            num_bad += 1
            continue
        metrics = dict(row_numbers(row))
        if metrics:
            points.append(Point(t=_unix_s(stamp), event=Step(step=step, metrics=metrics)))
    return points, num_bad


def _alerts(connection: sqlite3.Connection, key: str, run_id: Any) -> list[Point]:
    query = f"SELECT timestamp, title, text, level FROM alerts WHERE {key} = ? ORDER BY id"
    try:
        rows = connection.execute(query, [run_id]).fetchall()
    except sqlite3.OperationalError:
        # Files of older versions have no alerts.
        return []
    return [
        Point(
            t=_unix_s(stamp),
            event=Alert(
                code="script",
                severity=_LEVELS.get(str(level), "warning"),
                message=f"{title}: {text}" if text else str(title),
            ),
        )
        for stamp, title, text, level in rows
    ]


def _config(connection: sqlite3.Connection, key: str, run_id: Any) -> dict[str, Any]:
    try:
        found = connection.execute(f"SELECT config FROM configs WHERE {key} = ?", [run_id])
        row = found.fetchone()
    except sqlite3.OperationalError:
        return {}
    return (_object(row[0]) if row else None) or {}


def _object(text: Any) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _unix_s(stamp: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except ValueError:
        return None
