"""The curves of all runs in few buckets, in a database of their own beside the registry.

Apart from the registry because they are fifty times its size and change only at the end of a
stage. duckdb and pyarrow are imported in functions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runs.errors import Busy
from runs.metrics.sketches import read_sketch
from runs.paths import LabHome
from runs.registry import published
from runs.registry.published import Published
from runs.views.query import run_dirs

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

SCHEMA_VERSION = 1
SCHEMA = Path(__file__).parent / "sketches.sql"
_SUFFIX = ".sketch.arrow"
_WAIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SketchFile:
    """The sketches of one stage; `mark` changes whenever they do."""

    run_id: str
    stage: str
    path: Path
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SketchedCurve:
    """One curve of the lab over steps: of which run and stage, and its buckets in parallel."""

    run_id: str
    stage: str
    num_points: int
    step: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float32]


def sketches_of(home: LabHome) -> Published:
    """Return where the sketches of a lab home lie, and what they look like."""
    return Published(
        path=home.sketches,
        lock=home.sketches.with_name("sketches.lock"),
        what="the sketches",
        schema=SCHEMA,
        version=SCHEMA_VERSION,
    )


def publish_sketches(home: LabHome, *, wait_s: float = 0.0) -> int | None:
    """Bring the sketches up to date and return how many stages changed.

    None means that somebody else is at it right now; the next publisher will catch up.
    """
    database = sketches_of(home)
    if _is_current(home, database):
        return 0
    try:
        with published.publishing(database, wait_s=wait_s):
            num_changed = published.update(database, lambda con: _change(home, con))
            if num_changed is None:
                num_changed = published.build(database, lambda con: _change(home, con))
            return num_changed
    except Busy:
        return None


def rebuild_sketches(home: LabHome, *, wait_s: float = _WAIT_S) -> int:
    """Build the sketches anew from the run directories and return the number of stages."""
    with published.publishing(sketches_of(home), wait_s=wait_s):
        return published.build(sketches_of(home), lambda con: _change(home, con))


def read_sketches(home: LabHome, key: str, *, stage: str | None = None) -> list[SketchedCurve]:
    """Return the curve of a metric in every run that has ended a stage with it, newest first.

    Raises:
        Busy: another process has opened the database for writing; its PID is named.
    """
    import duckdb

    publish_sketches(home)
    try:
        with published.open_reader(sketches_of(home)) as connection:
            return _curves(connection, key, stage)
    except (duckdb.Error, published.Unusable) as error:
        published.raise_if_held(sketches_of(home), error)
    rebuild_sketches(home)
    with published.open_reader(sketches_of(home)) as connection:
        return _curves(connection, key, stage)


def _curves(
    connection: duckdb.DuckDBPyConnection, key: str, stage: str | None
) -> list[SketchedCurve]:
    found = connection.execute(
        "SELECT run_id, stage, n, step, low, high, mean FROM sketches "
        "WHERE key = ? AND (? IS NULL OR stage = ?) ORDER BY run_id DESC, stage",
        [key, stage, stage],
    ).fetchnumpy()
    return [
        SketchedCurve(
            run_id=str(found["run_id"][row]),
            stage=str(found["stage"][row]),
            num_points=int(found["n"][row]),
            step=found["step"][row],
            low=found["low"][row],
            high=found["high"][row],
            mean=found["mean"][row],
        )
        for row in range(len(found["n"]))
    ]


def _sketch_files(home: LabHome) -> Iterator[SketchFile]:
    for run_dir in run_dirs(home):
        try:
            entries = list(os.scandir(run_dir / "metrics"))
        except OSError:
            continue
        for entry in entries:
            if entry.name.endswith(_SUFFIX) and not entry.name.startswith("."):
                status = entry.stat()
                yield SketchFile(
                    run_id=run_dir.name[:26],
                    stage=entry.name.removesuffix(_SUFFIX),
                    path=Path(entry.path),
                    mark=f"{status.st_mtime_ns:x}.{status.st_size:x}",
                )


def _is_current(home: LabHome, database: Published) -> bool:
    # Without a copy of the file, which is large.
    import duckdb

    try:
        with published.open_reader(database) as connection:
            changed, stale = _difference(home, connection)
    except (duckdb.Error, Busy, published.Unusable):
        return False
    return not changed and not stale


def _difference(
    home: LabHome, connection: duckdb.DuckDBPyConnection
) -> tuple[list[SketchFile], list[tuple[str, str]]]:
    """Return the files to read, and the (run_id, stage) whose rows have to go."""
    present = {(file.run_id, file.stage): file for file in _sketch_files(home)}
    seen = connection.execute("SELECT run_id, stage, path, mark FROM marks").fetchall()
    known = {(run_id, stage): (path, mark) for run_id, stage, path, mark in seen}
    changed = {
        place: file
        for place, file in present.items()
        if known.get(place) != (str(file.path), file.mark)
    }
    stale = [place for place in known if place in changed or place not in present]
    return list(changed.values()), stale


def _change(home: LabHome, connection: duckdb.DuckDBPyConnection) -> int:
    changed, stale = _difference(home, connection)
    for run_id, stage in stale:
        for table in ("sketches", "marks"):
            connection.execute(
                f"DELETE FROM {table} WHERE run_id = ? AND stage = ?", [run_id, stage]
            )
    _insert(connection, changed)
    return len({*stale, *((file.run_id, file.stage) for file in changed)})


def _insert(connection: duckdb.DuckDBPyConnection, files: Sequence[SketchFile]) -> None:
    import pyarrow as pa

    tables, read = [], []
    for file in files:
        found = read_sketch(file.path)
        if found is None:
            continue
        place = {"run_id": file.run_id, "stage": file.stage}
        read.append({**place, "path": str(file.path), "mark": file.mark})
        for name, value in place.items():
            found = found.append_column(name, pa.repeat(value, found.num_rows))
        tables.append(found)
    for table, rows in (("sketches", tables), ("marks", [pa.Table.from_pylist(read)])):
        if rows and read:
            connection.register("incoming", pa.concat_tables(rows))
            connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
            connection.unregister("incoming")
