"""Sketches: every curve of a stage in at most 256 buckets, in a small file beside the metrics.

They are what all curves of a lab are drawn from at once. numpy and pyarrow are imported in
functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runs.files import write_atomic
from runs.metrics.buckets import reduce_curve
from runs.metrics.points import Points

if TYPE_CHECKING:
    import pyarrow as pa

NUM_BUCKETS = 256


def write_sketch(path: Path, points: Mapping[str, Points]) -> None:
    """Replace a sketch file by the sketches of the given curves."""
    import pyarrow as pa

    table = make_sketch(points)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    write_atomic(path, sink.getvalue().to_pybytes())


def make_sketch(points: Mapping[str, Points]) -> pa.Table:
    """Return one row per curve: its name, how many points it has, and lists over its buckets."""
    import pyarrow as pa

    rows = []
    for key, curve in points.items():
        kept = ~curve.is_ghost
        if kept.any():
            buckets = reduce_curve(curve.step[kept], curve.value[kept], NUM_BUCKETS)
            rows.append((key, int(kept.sum()), buckets))
    lists = {
        "step": [buckets.x for _, _, buckets in rows],
        "low": [buckets.low for _, _, buckets in rows],
        "high": [buckets.high for _, _, buckets in rows],
        "mean": [buckets.mean for _, _, buckets in rows],
    }
    columns = {
        "key": pa.array([key for key, _, _ in rows], pa.string()),
        "n": pa.array([num for _, num, _ in rows], pa.int64()),
        # The pixels of a screen are far coarser than 32 bits.
        **{name: pa.array(lists[name], pa.list_(pa.float32())) for name in lists},
    }
    return pa.table(columns)


def read_sketch(path: Path) -> pa.Table | None:
    """Return the rows of a sketch file, or None where there is none that can be read."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowException):
        return None
