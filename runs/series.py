"""Metrics over steps: the curves of a stage as numpy arrays, and their compacted form.

The curve follows the lineage of attempts: where one resumed from step N, what older attempts
did beyond N is kept as a ghost and is no data. numpy and pyarrow are imported in functions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs.events import EventRecord, number, read_events
from runs.facts import EventFile, event_files, sizes
from runs.files import sync_dir
from runs.paths import RunPaths

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Curve = tuple[NDArray[np.int64], NDArray[np.float64]]

_SIZES_KEY = b"labcli.sizes"


@dataclass(slots=True)
class Points:
    """Points in the order in which they were written: parallel lists; times are Unix seconds."""

    keys: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    attempts: list[int] = field(default_factory=list)
    is_ghost: list[bool] = field(default_factory=list)

    def append(self, key: str, step: int, value: float, t: float, attempt: int) -> None:
        self.keys.append(key)
        self.steps.append(step)
        self.values.append(value)
        self.times.append(t)
        self.attempts.append(attempt)
        self.is_ghost.append(False)

    def ghost_beyond(self, step: int) -> None:
        """Turn every point beyond `step` into a ghost."""
        for i, at in enumerate(self.steps):
            if at > step:
                self.is_ghost[i] = True


class MetricTable(Mapping[str, "Curve"]):
    """The curves of a stage by metric: (steps, values); `ghosts` holds what was superseded."""

    def __init__(self, data: Mapping[str, Curve], ghosts: Mapping[str, Curve]) -> None:
        self.data = data
        self.ghosts = ghosts

    def __getitem__(self, key: str) -> Curve:
        return self.data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


def read_metrics(run_dir: Path, stage: str) -> MetricTable:
    """Return the curves of a stage, from its compacted metrics when they are up to date."""
    files = event_files(run_dir).get(stage, [])
    path = RunPaths(run_dir).metrics(stage)
    points = _read_parquet(path, files) if path.is_file() else None
    return _table(points or _read_points(files))


def read_points(run_dir: Path, stage: str) -> Points:
    """Return every point of every attempt of a stage, those that were superseded too."""
    return _read_points(event_files(run_dir).get(stage, []))


def compact_stage(run_dir: Path, stage: str) -> Path | None:
    """Write the metrics of a stage as one Parquet file and return it; None without metrics."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = event_files(run_dir).get(stage, [])
    points = _read_points(files)
    if not points.keys:
        return None
    table = pa.table(
        {
            "key": pa.array(points.keys, pa.string()),
            "step": pa.array(points.steps, pa.int64()),
            "t": pa.array(points.times, pa.float64()),
            "attempt": pa.array(points.attempts, pa.int32()),
            "value": pa.array(points.values, pa.float64()),
            "is_ghost": pa.array(points.is_ghost, pa.bool_()),
        }
    )
    table = table.sort_by([("key", "ascending"), ("attempt", "ascending"), ("step", "ascending")])
    metadata = {_SIZES_KEY: json.dumps(sizes(files)).encode()}
    path = RunPaths(run_dir).metrics(stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.tmp")
    pq.write_table(table.replace_schema_metadata(metadata), aside, compression="zstd")
    aside.replace(path)
    sync_dir(path.parent)
    return path


def summarize(table: MetricTable) -> dict[str, dict[str, float]]:
    """Return last, min, max, n and last_step of every curve; min and max skip non-numbers."""
    import numpy as np

    figures = {}
    for key, (steps, values) in table.items():
        finite = values[np.isfinite(values)]
        figures[key] = {
            "last": float(values[-1]),
            "min": float(finite.min()) if finite.size else float("nan"),
            "max": float(finite.max()) if finite.size else float("nan"),
            "n": int(values.size),
            "last_step": int(steps[-1]),
        }
    return figures


def _read_points(files: list[EventFile]) -> Points:
    points = Points()
    mains = [file for file in files if file.rank == 0]
    for file in sorted(mains, key=lambda file: file.attempt):
        for record in read_events(file.path):
            _take(points, record, file.attempt)
    return points


def _take(points: Points, record: EventRecord, attempt: int) -> None:
    step = record.data.get("step")
    if record.kind == "start":
        resumed_from = record.data.get("resumed_from")
        points.ghost_beyond(resumed_from if isinstance(resumed_from, int) else -1)
    if not isinstance(step, int):
        return
    if record.kind == "step":
        metrics = record.data.get("metrics")
        for key, value in metrics.items() if isinstance(metrics, dict) else ():
            parsed = number(value)
            if parsed is not None:
                points.append(key, step, parsed, record.t, attempt)
    elif record.kind == "eval":
        parsed = number(record.data.get("val_bpb"))
        if parsed is not None:
            points.append("val_bpb", step, parsed, record.t, attempt)


def _read_parquet(path: Path, files: list[EventFile]) -> Points | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):
        return None
    if (table.schema.metadata or {}).get(_SIZES_KEY) != json.dumps(sizes(files)).encode():
        return None
    columns: dict[str, Any] = table.to_pydict()
    return Points(
        keys=columns["key"],
        steps=columns["step"],
        values=columns["value"],
        times=columns["t"],
        attempts=columns["attempt"],
        is_ghost=columns["is_ghost"],
    )


def _table(points: Points) -> MetricTable:
    import numpy as np

    steps = np.asarray(points.steps, dtype=np.int64)
    values = np.asarray(points.values, dtype=np.float64)
    is_ghost = np.asarray(points.is_ghost, dtype=np.bool_)
    rows: dict[str, list[int]] = {}
    for i, key in enumerate(points.keys):
        rows.setdefault(key, []).append(i)
    data, ghosts = {}, {}
    for key, indexes in rows.items():
        index = np.asarray(indexes)
        kept, dropped = index[~is_ghost[index]], index[is_ghost[index]]
        if kept.size:
            data[key] = (steps[kept], values[kept])
        if dropped.size:
            ghosts[key] = (steps[dropped], values[dropped])
    return MetricTable(data, ghosts)
