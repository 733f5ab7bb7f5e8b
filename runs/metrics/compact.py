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
            marks = file.metadata.metadata or {}
            if marks.get(_FORMAT_KEY) != str(FORMAT).encode():
                return None
            if marks.get(_SIZES_KEY) != json.dumps(sizes(list(files))).encode():
                return None
            groups = _groups_with(file.metadata, keys)
            table = file.read_row_groups(groups, [*_COLUMNS, *axes], use_threads=False)
    except (OSError, pa.ArrowException):
        return None
    return _by_key(table, keys)


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
