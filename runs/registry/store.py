"""The registry: a DuckDB catalogue of every run, derived from the run directories.

Losing it loses nothing. duckdb and pyarrow are imported in functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from runs.errors import Busy, UsageError
from runs.metrics.fingerprint import fingerprint
from runs.paths import LabHome
from runs.registry import published
from runs.registry.published import Published
from runs.registry.readers import Columns, read_columns
from runs.registry.rows import TABLES
from runs.views.query import run_dirs

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
SCHEMA_VERSION = 2
SCHEMA = Path(__file__).parent / "schema.sql"
REINDEX_WAIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The answer to a query: column names, and rows of plain values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """How the run directories differ from the registry."""

    changed: tuple[Path, ...]
    stale_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len({*self.stale_ids, *(path.name[:26] for path in self.changed)})


def registry_of(home: LabHome) -> Published:
    """Return where the registry of a lab home lies, and what it looks like."""
    return Published(
        path=home.registry,
        lock=home.registry_lock,
        what="the registry",
        schema=SCHEMA,
        version=SCHEMA_VERSION,
    )


def publish(home: LabHome) -> int | None:
    """Bring the registry up to date and return how many runs changed in it.

    None means that somebody else is at it right now; the next publisher will catch up.
    """
    try:
        with published.publishing(registry_of(home), wait_s=0.0):
            return _update(home)
    except Busy:
        return None


def reindex(home: LabHome, *, wait_s: float = REINDEX_WAIT_S) -> int:
    """Build the registry anew from the run directories and return the number of runs.

    Summaries and compacted metrics that are missing or out of date are made again first.

    Raises:
        Busy: another process holds the lock; its PID is named.
    """
    with published.publishing(registry_of(home), wait_s=wait_s):
        for derived in (home.run_views, home.run_settings, home.run_figures):
            derived.unlink(missing_ok=True)
        return _rebuild(home, should_refresh=True)


def query(home: LabHome, sql: str, parameters: Sequence[Any] = ()) -> Table:
    """Return the answer of the up-to-date registry to one read-only statement.

    Raises:
        UsageError: DuckDB refuses the statement.
        Busy: another process has opened the registry for writing; its PID is named.
    """
    import duckdb

    def ask(connection: duckdb.DuckDBPyConnection) -> Table:
        try:
            answer = connection.execute(sql, list(parameters))
            columns = tuple(column[0] for column in answer.description or ())
            return Table(columns=columns, rows=tuple(answer.fetchall()))
        except (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException):
            raise
        except duckdb.Error as error:
            first_line = str(error).splitlines()[0]
            raise UsageError(f"the registry refuses this query: {first_line}") from None

    return read(home, ask)


def read(home: LabHome, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
    """Return what `work` makes of a read-only connection to the up-to-date registry.

    A registry that turns out to be damaged is made again from the run directories, once.

    Raises:
        Busy: another process has opened the registry for writing; its PID is named.
    """
    import duckdb

    try:
        with _open_current(home) as connection:
            return work(connection)
    except (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException) as error:
        published.raise_if_held(registry_of(home), error)
    reindex(home)
    with published.open_reader(registry_of(home)) as connection:
        return work(connection)


def _open_current(home: LabHome) -> duckdb.DuckDBPyConnection:
    import duckdb

    database = registry_of(home)
    try:
        connection = published.open_reader(database)
    except (duckdb.Error, Busy, published.Unusable):
        connection = None
    if connection is not None:
        try:
            if not _difference(home, connection):
                return connection
        except duckdb.Error:
            pass
        connection.close()
    publish(home)
    try:
        return published.open_reader(database)
    except published.Unusable:
        # Another publisher is at work on the first registry of this home: wait for it.
        reindex(home)
        return published.open_reader(database)


def _update(home: LabHome) -> int:
    def change(connection: duckdb.DuckDBPyConnection) -> int:
        difference = _difference(home, connection)
        if difference:
            _replace(connection, difference)
        return len(difference)

    num_changed = published.update(registry_of(home), change)
    return _rebuild(home) if num_changed is None else num_changed


def _rebuild(home: LabHome, *, should_refresh: bool = False) -> int:
    directories = run_dirs(home)

    def fill(connection: duckdb.DuckDBPyConnection) -> int:
        _insert(connection, read_columns(directories, should_refresh=should_refresh))
        return len(directories)

    return published.build(registry_of(home), fill)


def _difference(home: LabHome, connection: duckdb.DuckDBPyConnection) -> _Difference:
    seen = connection.execute("SELECT run_id, path, fingerprint FROM runs").fetchall()
    known = {path: (run_id, mark) for run_id, path, mark in seen}
    present = {str(path): path for path in run_dirs(home)}
    changed = [
        path for name, path in present.items() if known.get(name, ("", ""))[1] != fingerprint(path)
    ]
    stale = [known[name][0] for name in known if name not in present]
    stale += [known[str(path)][0] for path in changed if str(path) in known]
    return _Difference(changed=tuple(changed), stale_ids=tuple(stale))


def _replace(connection: duckdb.DuckDBPyConnection, difference: _Difference) -> None:
    for table in TABLES:
        connection.execute(
            f"DELETE FROM {table} WHERE run_id IN (SELECT unnest(?))", [list(difference.stale_ids)]
        )
    _insert(connection, read_columns(difference.changed, should_refresh=False))


def _insert(connection: duckdb.DuckDBPyConnection, parts: Sequence[Mapping[str, Columns]]) -> None:
    import pyarrow as pa

    for table in TABLES:
        for columns in (part[table] for part in parts):
            if columns:
                # One statement for all of them: row by row DuckDB takes 0.8 ms each.
                connection.register("incoming", pa.table(columns))
                connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
                connection.unregister("incoming")
