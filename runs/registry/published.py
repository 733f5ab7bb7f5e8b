"""Derived databases: replaced whole, never changed in place, never held open.

A database is copied aside, updated, put on disk and renamed, under a lock that only publishers
take. So a reader never meets a lock or half a file. duckdb is imported in functions.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runs.errors import Busy, LabError
from runs.files import sync_dir
from runs.supervision.system import hold_lock

if TYPE_CHECKING:
    import duckdb

_HOLDER = re.compile(r"\(PID (\d+)\)")
READER_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "512MB",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A derived database: where it lies, its schema (SQL) and the version of that."""

    path: Path
    lock: Path
    what: str
    schema: Path
    version: int


class Unusable(Exception):
    """The database is missing, damaged, or written for another version of the schema."""


@contextmanager
def publishing(database: Published, *, wait_s: float) -> Iterator[None]:
    """Be the only publisher.

    Raises:
        Busy: another process publishes; its PID is named.
        LabError: the lab home cannot be written.
    """
    try:
        database.path.parent.mkdir(parents=True, exist_ok=True)
        with hold_lock(database.lock, wait_s=wait_s, what=database.what):
            yield
    except OSError as error:
        raise LabError(f"cannot write {database.what} {database.path}: {error}") from None


def build(database: Published, fill: Callable[[duckdb.DuckDBPyConnection], int]) -> int:
    """Replace the database by a new one that `fill` fills, and return what it returns."""
    import duckdb

    aside = _aside(database.path)
    with duckdb.connect(str(aside)) as connection:
        connection.execute(database.schema.read_text(encoding="utf-8"))
        connection.execute("CREATE TABLE meta AS SELECT ?::INTEGER AS version", [database.version])
        result = fill(connection)
    _swap_in(database.path, aside)
    return result


def update(database: Published, change: Callable[[duckdb.DuckDBPyConnection], int]) -> int | None:
    """Let `change` update a copy, and publish it when the number of changes is not zero.

    None when there is no such database, or one that is damaged or of another version.
    """
    import duckdb

    if not database.path.is_file():
        return None
    aside = _aside(database.path)
    try:
        shutil.copyfile(database.path, aside)
        with duckdb.connect(str(aside)) as connection:
            _check_version(database, connection)
            connection.execute("BEGIN")
            num_changes = change(connection)
            connection.execute("COMMIT")
    except (duckdb.Error, Unusable):
        return None
    if num_changes:
        _swap_in(database.path, aside)
    else:
        aside.unlink()
    return num_changes


def open_reader(database: Published) -> duckdb.DuckDBPyConnection:
    """Return a read-only connection.

    Raises:
        Busy: another process has opened it for writing; its PID is named.
        Unusable: it is missing, damaged or of another version.
    """
    import duckdb

    if not database.path.is_file():
        raise Unusable
    try:
        connection = duckdb.connect(str(database.path), read_only=True, config=READER_SETTINGS)
    except duckdb.Error as error:
        raise_if_held(database, error)
        raise Unusable from None
    try:
        _check_version(database, connection)
    except (duckdb.Error, Unusable):
        connection.close()
        raise Unusable from None
    return connection


def _check_version(database: Published, connection: duckdb.DuckDBPyConnection) -> None:
    version = connection.execute("SELECT version FROM meta").fetchone()
    if version != (database.version,):
        raise Unusable


def raise_if_held(database: Published, error: Exception) -> None:
    """Raise Busy when DuckDB's error says that another process has opened the file."""
    holder = _HOLDER.search(str(error))
    if holder:
        raise Busy(f"{database.what} is held by process {holder[1]}; close it there") from None


def _aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.tmp")
    aside.unlink(missing_ok=True)
    aside.with_name(f"{aside.name}.wal").unlink(missing_ok=True)
    return aside


def _swap_in(path: Path, aside: Path) -> None:
    with open(aside, "rb") as stream:
        os.fsync(stream.fileno())
    # A leftover log of a database that somebody opened for writing belongs to the old file.
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    aside.replace(path)
    sync_dir(path.parent)
