"""The registry: a DuckDB catalogue of every run, derived from the run directories.

It is published whole: copied aside, updated, put on disk and renamed, under one lock file. So
a reader never meets a lock or half a file, and losing the registry loses nothing.
duckdb and pyarrow are imported in functions only.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs.derived import refresh
from runs.errors import Busy, LabError, UsageError
from runs.files import sync_dir
from runs.paths import LabHome
from runs.query import run_dirs
from runs.rows import TABLES, RunRows, fingerprint, run_rows
from runs.system import hold_lock

if TYPE_CHECKING:
    import duckdb

SCHEMA_VERSION = 1
REINDEX_WAIT_S = 10.0
_SCHEMA = Path(__file__).parent / "schema.sql"
_HOLDER = re.compile(r"\(PID (\d+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The answer to a query: column names, and rows of plain values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def publish(home: LabHome) -> int | None:
    """Bring the registry up to date and return how many runs changed in it.

    None means that somebody else is at it right now; the next publisher will catch up.
    """
    try:
        with _lock(home, wait_s=0.0):
            return _update(home)
    except Busy:
        return None


def reindex(home: LabHome, *, wait_s: float = REINDEX_WAIT_S) -> int:
    """Build the registry anew from the run directories and return the number of runs.

    Summaries and compacted metrics that are missing or out of date are made again first.

    Raises:
        Busy: another process holds the lock; its PID is named.
    """
    with _lock(home, wait_s=wait_s):
        for path in run_dirs(home):
            refresh(path)
        return _rebuild(home)


def query(home: LabHome, sql: str, parameters: Sequence[Any] = ()) -> Table:
    """Return the answer of the up-to-date registry to one read-only statement.

    Raises:
        UsageError: DuckDB refuses the statement.
        Busy: another process has opened the registry for writing; its PID is named.
    """
    import duckdb

    publish(home)
    try:
        return _ask(home, sql, parameters)
    except (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException) as error:
        holder = _HOLDER.search(str(error))
        if holder:
            raise Busy(f"the registry is held by process {holder[1]}; close it there") from None
    reindex(home)
    return _ask(home, sql, parameters)


def _ask(home: LabHome, sql: str, parameters: Sequence[Any]) -> Table:
    import duckdb

    with _open_reader(home) as connection:
        try:
            answer = connection.execute(sql, list(parameters))
            columns = tuple(column[0] for column in answer.description or ())
            return Table(columns=columns, rows=tuple(answer.fetchall()))
        except (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException):
            raise
        except duckdb.Error as error:
            first_line = str(error).splitlines()[0]
            raise UsageError(f"the registry refuses this query: {first_line}") from None


def _open_reader(home: LabHome) -> duckdb.DuckDBPyConnection:
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 2,
        "memory_limit": "512MB",
    }
    return duckdb.connect(str(home.registry), read_only=True, config=config)


@contextmanager
def _lock(home: LabHome, *, wait_s: float) -> Iterator[None]:
    try:
        home.registry.parent.mkdir(parents=True, exist_ok=True)
        with hold_lock(home.registry_lock, wait_s=wait_s, what="the registry"):
            yield
    except OSError as error:
        raise LabError(f"cannot write the registry {home.registry}: {error}") from None


def _update(home: LabHome) -> int:
    import duckdb

    if not home.registry.is_file():
        return _rebuild(home)
    aside = _aside(home)
    try:
        shutil.copyfile(home.registry, aside)
        with duckdb.connect(str(aside)) as connection:
            num_changed = _apply_changes(home, connection)
    except (duckdb.Error, _OtherSchema):
        # Damaged, of another version, or cut short: what it held is all in the run directories.
        return _rebuild(home)
    if num_changed:
        _swap_in(home, aside)
    else:
        aside.unlink()
    return num_changed


def _rebuild(home: LabHome) -> int:
    import duckdb

    aside = _aside(home)
    directories = run_dirs(home)
    with duckdb.connect(str(aside)) as connection:
        connection.execute(_SCHEMA.read_text(encoding="utf-8"))
        connection.execute("INSERT INTO meta VALUES (?)", [SCHEMA_VERSION])
        _insert(connection, [run_rows(path) for path in directories])
    _swap_in(home, aside)
    return len(directories)


class _OtherSchema(Exception):
    """The registry was written for another version of the schema."""


def _apply_changes(home: LabHome, connection: duckdb.DuckDBPyConnection) -> int:
    version = connection.execute("SELECT version FROM meta").fetchone()
    if version != (SCHEMA_VERSION,):
        raise _OtherSchema
    seen = connection.execute("SELECT run_id, path, fingerprint FROM runs").fetchall()
    known = {path: (run_id, mark) for run_id, path, mark in seen}
    present = {str(path): path for path in run_dirs(home)}
    changed = [
        path for name, path in present.items() if known.get(name, ("", ""))[1] != fingerprint(path)
    ]
    stale = [known[name][0] for name in known if name not in present]
    stale += [known[str(path)][0] for path in changed if str(path) in known]
    if not changed and not stale:
        return 0
    connection.execute("BEGIN")
    for table in TABLES:
        connection.execute(f"DELETE FROM {table} WHERE run_id IN (SELECT unnest(?))", [stale])
    _insert(connection, [run_rows(path) for path in changed])
    connection.execute("COMMIT")
    return len(changed) + len(stale)


def _insert(connection: duckdb.DuckDBPyConnection, runs: Sequence[RunRows]) -> None:
    import pyarrow as pa

    for table in TABLES:
        rows = [row for run in runs for row in run.table(table)]
        if rows:
            # One statement per table: row by row DuckDB takes 0.8 ms each.
            arrow = pa.Table.from_pylist(rows)
            connection.register("incoming", arrow)
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
            connection.unregister("incoming")


def _aside(home: LabHome) -> Path:
    aside = home.registry.with_name("registry.duckdb.tmp")
    aside.unlink(missing_ok=True)
    aside.with_name(f"{aside.name}.wal").unlink(missing_ok=True)
    return aside


def _swap_in(home: LabHome, aside: Path) -> None:
    with open(aside, "rb") as stream:
        os.fsync(stream.fileno())
    # A leftover log of a registry that somebody opened for writing belongs to the old file.
    home.registry.with_name(f"{home.registry.name}.wal").unlink(missing_ok=True)
    aside.replace(home.registry)
    sync_dir(home.registry.parent)
