"""The metrics of a stage as one Parquet file, derived from its event logs.

A row group holds one metric, or several short ones, so that one curve is read without the rest.
numpy and pyarrow are imported in functions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs.files import sync_dir
from runs.metrics.points import AXES, Points, read_points
from runs.metrics.sketches import write_sketch
from runs.paths import RunPaths
from runs.views.facts import EventFile, event_files, sizes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

# Part of the summary: files of another format are written again by `labcli runs reindex`.
FORMAT = 2
MIN_GROUP_ROWS = 8192
MAX_GROUP_ROWS = 131_072
# Half the size of plain columns, and faster: curves and axes change little from row to row.
_FLOATS = ("t", "value", *AXES)
_ENCODING: Mapping[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": ["key"],
    "column_encoding": {
        "step": "DELTA_BINARY_PACKED",
        "attempt": "DELTA_BINARY_PACKED",
        **dict.fromkeys(_FLOATS, "BYTE_STREAM_SPLIT"),
    },
}
# In the order of the schema, which the axes close.
_COLUMNS = ("key", "step", "t", "attempt", "value", "is_ghost")
_SIZES_KEY = b"labcli.sizes"
_FORMAT_KEY = b"labcli.format"


def compact_stage(run_dir: Path, stage: str) -> Path | None:
    """Write the metrics of a stage as one Parquet file and return it; None without metrics."""
    files = event_files(run_dir).get(stage, [])
    points = read_points(files)
    if not points:
        return None
    path = RunPaths(run_dir).metrics(stage)
    write_metrics(path, points, files)
    write_sketch(RunPaths(run_dir).sketch(stage), points)
    return path


def write_metrics(path: Path, points: Mapping[str, Points], files: Sequence[EventFile]) -> None:
    """Replace a metrics file by the given points, which were read from the given logs."""
    import pyarrow.parquet as pq

    marks = {_SIZES_KEY: json.dumps(sizes(list(files))), _FORMAT_KEY: str(FORMAT)}
    schema = _schema().with_metadata(marks)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with (
            open(aside, "wb") as stream,
            pq.ParquetWriter(stream, schema, **_ENCODING) as writer,
        ):
            for group in _groups(points):
                writer.write_table(group, row_group_size=MAX_GROUP_ROWS)
            writer.close()
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_dir(path.parent)


def read_compacted(
    run_dir: Path,
    stage: str,
    files: Sequence[EventFile],
    keys: Sequence[str] | None = None,
    axes: Sequence[str] = AXES,
) -> dict[str, Points] | None:
    """Return the points of a stage, or of the given metrics, as they were compacted.

    Only the given axes are read.

    None when there is no file, or when it was not made from the event logs as they are now.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = RunPaths(run_dir).metrics(stage)
    if not path.is_file():
        return None
    try:
        with pq.ParquetFile(path) as file:
            if not _is_current(file.metadata, files):
                return None
            groups = _groups_with(file.metadata, keys)
            table = file.read_row_groups(groups, [*_COLUMNS, *axes], use_threads=False)
    except (OSError, pa.ArrowException):
        return None
    return _by_key(table, keys)


def read_columns(
    run_dir: Path, stage: str, files: Sequence[EventFile], key: str, names: Sequence[str]
) -> dict[str, NDArray[Any]] | None:
    """Return the given columns of one metric, and "is_ghost", reading nothing else.

    Empty when it was not logged; None as `read_compacted`.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        # By its name, half of the time of opening goes into finding out what kind of place it is.
        with (
            pa.OSFile(str(RunPaths(run_dir).metrics(stage))) as source,
            pq.ParquetFile(source) as file,
        ):
            if not _is_current(file.metadata, files):
                return None
            groups = _groups_with(file.metadata, [key])
            has_others, has_ghosts = _mixture(file.metadata, groups)
            wanted = [
                *names,
                *(["key"] if has_others else []),
                *(["is_ghost"] if has_ghosts else []),
            ]
            table = file.read_row_groups(groups, wanted, use_threads=False)
    except (OSError, pa.ArrowException):
        return None
    if has_others:
        table = table.filter(pc.equal(table.column("key"), key))
    if not table.num_rows:
        return {}
    found = {name: table.column(name).to_numpy() for name in names}
    is_ghost = table.column("is_ghost").to_numpy() if has_ghosts else None
    found["is_ghost"] = np.zeros(table.num_rows, np.bool_) if is_ghost is None else is_ghost
    return found


def _is_current(metadata: pq.FileMetaData, files: Sequence[EventFile]) -> bool:
    """Return whether a file is of this format, and made from the event logs as they are now."""
    marks = metadata.metadata or {}
    if marks.get(_FORMAT_KEY) != str(FORMAT).encode():
        return False
    return bool(marks.get(_SIZES_KEY) == json.dumps(sizes(list(files))).encode())


def _mixture(metadata: pq.FileMetaData, groups: Sequence[int]) -> tuple[bool, bool]:
    """Return whether row groups may hold several metrics, and whether they may hold ghosts."""
    has_others = has_ghosts = False
    for index in groups:
        group = metadata.row_group(index)
        keys = group.column(_COLUMNS.index("key")).statistics
        ghosts = group.column(_COLUMNS.index("is_ghost")).statistics
        has_others |= keys is None or not keys.has_min_max or keys.min != keys.max
        has_ghosts |= ghosts is None or not ghosts.has_min_max or ghosts.max
    return has_others, has_ghosts


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("key", pa.string()),
            ("step", pa.int64()),
            ("t", pa.float64()),
            ("attempt", pa.int32()),
            ("value", pa.float64()),
            ("is_ghost", pa.bool_()),
            *((axis, pa.float64()) for axis in AXES),
        ]
    )


def _groups(points: Mapping[str, Points]) -> Iterator[pa.Table]:
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for key in sorted(points):
        waiting.append(_table(key, points[key]))
        if sum(table.num_rows for table in waiting) >= MIN_GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _table(key: str, points: Points) -> pa.Table:
    import pyarrow as pa

    num = len(points)
    columns: list[Any] = [
        pa.repeat(key, num),
        points.step,
        points.t,
        points.attempt.astype("int32"),
        points.value,
        points.is_ghost,
    ]
    for axis in AXES:
        known = points.axes.get(axis)
        # from_pandas: what is unknown becomes NULL; a value that is NaN stays one.
        columns.append(
            pa.nulls(num, pa.float64())
            if known is None
            else pa.array(known, from_pandas=True, type=pa.float64())
        )
    return pa.table(columns, schema=_schema())


def _groups_with(metadata: pq.FileMetaData, keys: Sequence[str] | None) -> list[int]:
    """Return the row groups that may hold one of the metrics."""
    if keys is None:
        return list(range(metadata.num_row_groups))
    found = []
    for index in range(metadata.num_row_groups):
        bounds = metadata.row_group(index).column(0).statistics
        if (
            bounds is None
            or not bounds.has_min_max
            or any(bounds.min <= key <= bounds.max for key in keys)
        ):
            found.append(index)
    return found


def _by_key(table: pa.Table, keys: Sequence[str] | None) -> dict[str, Points]:
    import numpy as np

    if not table.num_rows:
        return {}
    encoded = table.column("key").combine_chunks().dictionary_encode()
    names, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    # Sorted by metric: each is one run of rows.
    starts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    columns = {name: table.column(name).to_numpy() for name in table.column_names if name != "key"}
    found = {}
    for start, end in pairwise(starts):
        key, rows = names[codes[start]], slice(start, end)
        if keys is None or key in keys:
            found[key] = Points(
                step=columns["step"][rows],
                t=columns["t"][rows],
                attempt=columns["attempt"][rows],
                value=columns["value"][rows],
                is_ghost=columns["is_ghost"][rows],
                axes={axis: columns[axis][rows] for axis in AXES if axis in columns},
            )
    return found
