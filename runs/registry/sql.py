"""SQL over the registry, the sketches and the metrics of every run: read-only and bounded.

A statement may read the lab's own data and nothing else: no other file, no network, no setting.
duckdb is imported in functions.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs.errors import LabError, UsageError
from runs.paths import LabHome
from runs.registry import published, store
from runs.registry.sketch_store import SCHEMA as SKETCH_SCHEMA
from runs.registry.sketch_store import publish_sketches, rebuild_sketches, sketches_of

if TYPE_CHECKING:
    import duckdb

MAX_ROWS = 10_000
LIMIT_S = 30.0
MEMORY = "512MB"
METRICS_SCHEMA = Path(__file__).parent / "metrics.sql"
# Making the view of a large lab takes as long as a small query, so it is made when it is named.
_NAMES_METRICS = re.compile(r"\bmetrics\b|\bshow\b|duckdb_|information_schema", re.IGNORECASE)
_NAMES_SKETCHES = re.compile(r"\bsketches\b|\bshow\b|duckdb_|information_schema", re.IGNORECASE)
_EXPLAIN = re.compile(r"\s*explain\b\s*(analyze\b)?", re.IGNORECASE)
_PLACE = re.compile(
    r"^LINE (?P<line>\d+): (?P<shown>.*)\n(?P<indent> *)(?P<caret>\^+)", re.MULTILINE
)
_CANDIDATES = re.compile(r"^(?:Candidate \w+: |Did you mean )(?P<names>.*)$", re.MULTILINE)
_KIND = re.compile(r"^(?:[A-Z]\w*|INTERRUPT)(?: \w+)* Error: ")
_TABLE = re.compile(r"^CREATE (?:TEMP )?(?:TABLE|VIEW) (\w+)")
_COLUMN = re.compile(
    r"^ +(?:\w+\.)?(?P<name>\w+)(?: +[A-Z]+(?:\[\])?(?: NOT NULL)?)?,? +-- (?P<meaning>.*)$"
)
_HIDDEN_TABLES = ("meta", "marks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The rows of a statement; `is_cut` when there are more than were asked for."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One documented column of a table that can be queried."""

    table: str
    column: str
    meaning: str


def ask(
    home: LabHome, sql: str, *, max_rows: int | None = MAX_ROWS, limit_s: float = LIMIT_S
) -> Answer:
    """Return the answer of the up-to-date lab to one SELECT statement.

    Raises:
        UsageError: it is not one statement that only reads, or DuckDB refuses it.
        LabError: it takes longer than `limit_s`, or more than 512 MB of memory.
        Busy: another process has opened the registry for writing; its PID is named.
    """
    _check_reads(sql)
    has_sketches = bool(_NAMES_SKETCHES.search(sql))
    if has_sketches:
        _ensure_sketches(home)

    def work(connection: duckdb.DuckDBPyConnection) -> Answer:
        if has_sketches:
            connection.execute(f"ATTACH {_quoted(home.sketches)} AS kept (READ_ONLY)")
            connection.execute("CREATE TEMP VIEW sketches AS FROM kept.sketches")
        if _NAMES_METRICS.search(sql):
            _add_metrics(connection)
        _shut_in(connection, home)
        return _run(connection, sql, max_rows, limit_s)

    return store.read(home, work)


def schema_text() -> str:
    """Return the tables that can be queried as annotated SQL."""
    texts = [path.read_text(encoding="utf-8") for path in _schemas()]
    parts = "\n".join(texts).split("\n\n")
    hidden = tuple(f"CREATE TABLE {name} " for name in _HIDDEN_TABLES)
    return "\n\n".join(part.strip() for part in parts if not any(word in part for word in hidden))


def schema_columns() -> list[Column]:
    """Return every documented column."""
    found, table = [], ""
    for line in schema_text().splitlines():
        started, column = _TABLE.match(line), _COLUMN.match(line)
        if started:
            table = started[1]
        elif column:
            found.append(Column(table=table, column=column["name"], meaning=column["meaning"]))
    return found


def _schemas() -> Iterator[Path]:
    yield from (store.SCHEMA, METRICS_SCHEMA, SKETCH_SCHEMA)


def _check_reads(sql: str) -> None:
    import duckdb

    try:
        statements = duckdb.extract_statements(sql)
        if len(statements) == 1 and statements[0].type is duckdb.StatementType.EXPLAIN:
            # EXPLAIN ANALYZE runs what follows it.
            statements = duckdb.extract_statements(_EXPLAIN.sub("", sql, count=1))
    except duckdb.Error as error:
        raise UsageError(_one_line(error, sql)) from None
    if len(statements) != 1:
        raise UsageError(f"give one SQL statement, not {len(statements)}")
    if statements[0].type is not duckdb.StatementType.SELECT:
        raise UsageError(
            f"only SELECT reads: {statements[0].type.name} is refused; "
            "see the tables with: labcli runs sql --schema"
        )


def _ensure_sketches(home: LabHome) -> None:
    publish_sketches(home)
    try:
        published.open_reader(sketches_of(home)).close()
    except published.Unusable:
        rebuild_sketches(home)


def _add_metrics(connection: duckdb.DuckDBPyConnection) -> None:
    paths = connection.execute(
        "SELECT metrics_path FROM stages WHERE metrics_path IS NOT NULL"
    ).fetchall()
    # A file that was removed by hand since the last publish must not fail every query.
    files = ", ".join(_quoted(Path(path)) for (path,) in paths if Path(path).is_file())
    if files:
        source = f"SELECT * FROM read_parquet([{files}], filename = true)"
    else:
        source = (
            "SELECT ''::VARCHAR AS key, 0::BIGINT AS step, 0::DOUBLE AS t, 0::INTEGER AS attempt, "
            "0::DOUBLE AS value, false AS is_ghost, 0::DOUBLE AS tokens, 0::DOUBLE AS train_s, "
            "0::DOUBLE AS flops, ''::VARCHAR AS filename WHERE false"
        )
    connection.execute(f"CREATE TEMP VIEW points AS {source}")
    connection.execute(METRICS_SCHEMA.read_text(encoding="utf-8"))


def _shut_in(connection: duckdb.DuckDBPyConnection, home: LabHome) -> None:
    # The order matters: no setting can be changed after the last one.
    for setting in (
        "temp_directory = ''",
        f"allowed_directories = [{_quoted(home.runs_dir)} || '/']",
        "enable_external_access = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "python_enable_replacements = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


def _run(
    connection: duckdb.DuckDBPyConnection, sql: str, max_rows: int | None, limit_s: float
) -> Answer:
    import duckdb

    timer = threading.Timer(limit_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        answer = connection.execute(sql)
        columns = tuple(column[0] for column in answer.description or ())
        rows = answer.fetchall() if max_rows is None else answer.fetchmany(max_rows + 1)
    except duckdb.InterruptException:
        raise LabError(f"the query took longer than {limit_s:g} s; raise --timeout") from None
    except duckdb.OutOfMemoryException:
        raise LabError(
            f"the query needs more than {MEMORY} of memory; aggregate, or select less"
        ) from None
    except (duckdb.SerializationException, duckdb.InternalException):
        raise
    except duckdb.Error as error:
        if isinstance(error, duckdb.IOException) and "registry.duckdb" in str(error):
            raise
        raise UsageError(_one_line(error, sql)) from None
    finally:
        timer.cancel()
    is_cut = max_rows is not None and len(rows) > max_rows
    return Answer(columns=columns, rows=tuple(rows[:max_rows]), is_cut=is_cut)


def _one_line(error: Exception, sql: str) -> str:
    """Return DuckDB's message, where in the statement it is, and what it suggests."""
    text = str(error)
    if "pytz" in text:
        return "SQL: a time with a time zone cannot be written; cast it: now()::TIMESTAMP"
    first = next((line for line in text.splitlines() if line.strip()), "no reason given")
    message = _KIND.sub("", first).rstrip("!. ")
    place, candidates = _PLACE.search(text), _CANDIDATES.search(text)
    where = f" at {_position(place, sql)}" if place else ""
    closest = candidates["names"].rstrip("?").strip() if candidates else ""
    return f"SQL: {message}{where}" + (f"; closest: {closest}" if closest else "")


def _position(place: re.Match[str], sql: str) -> str:
    line, prefix = int(place["line"]), len(f"LINE {place['line']}: ")
    shown, offset = place["shown"], len(place["indent"]) - prefix
    token = shown[offset : offset + len(place["caret"])]
    source = sql.splitlines()[line - 1] if line <= len(sql.splitlines()) else ""
    # DuckDB shows a piece of a long line, with dots where it was cut.
    start = 3 if shown.startswith("...") else 0
    end = len(shown) - 3 if shown.endswith("...") else len(shown)
    found = source.find(shown[start:end])
    column = (found if found >= 0 else 0) + offset - start + 1
    return f"line {line}, column {column} ({token})"


def _quoted(path: Path) -> str:
    text = str(path).replace("'", "''")
    return f"'{text}'"
