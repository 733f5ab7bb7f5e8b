"""Metrics over steps, tokens, time or FLOPs: the curves of a stage as numpy arrays.

Read from the compacted metrics where they are up to date, else from the event logs. What an
attempt did beyond the step that the next one resumed from is a ghost and no data.
numpy is imported in functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from runs.analysis.directions import direction
from runs.metrics.buckets import reduce_curve
from runs.metrics.compact import read_columns, read_compacted
from runs.metrics.points import Points, read_points
from runs.views.facts import event_files

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from runs.metrics.buckets import Buckets

    Curve = tuple[NDArray[np.int64], NDArray[np.float64]]

Axis = Literal["step", "tokens", "time", "flops"]


_LOGGED_AS: Mapping[Axis, str] = {"tokens": "tokens", "time": "train_s", "flops": "flops"}
# The columns that an axis is made from.
_NEEDED: Mapping[Axis, Sequence[str]] = {
    "step": ["step"],
    "tokens": ["tokens"],
    "time": ["train_s", "t"],
    "flops": ["flops"],
}


class MetricTable(Mapping[str, "Curve"]):
    """The curves of a stage by metric: (steps, values); `ghosts` holds what was superseded.

    `is_compacted` says whether they come from the metrics file, not from the event logs.
    """

    def __init__(
        self,
        data: Mapping[str, Curve],
        ghosts: Mapping[str, Curve],
        *,
        is_compacted: bool = False,
    ) -> None:
        self.data = data
        self.ghosts = ghosts
        self.is_compacted = is_compacted

    def __getitem__(self, key: str) -> Curve:
        return self.data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCurve:
    """Which curve to draw: a metric of a stage of a run."""

    run_dir: Path
    stage: str
    key: str


def read_metrics(run_dir: Path, stage: str) -> MetricTable:
    """Return all curves of a stage at full resolution."""
    files = event_files(run_dir).get(stage, [])
    compacted = read_compacted(run_dir, stage, files)
    points = read_points(files) if compacted is None else compacted
    data, ghosts = {}, {}
    for key, curve in points.items():
        kept, dropped = ~curve.is_ghost, curve.is_ghost
        if kept.any():
            data[key] = (curve.step[kept], curve.value[kept])
        if dropped.any():
            ghosts[key] = (curve.step[dropped], curve.value[dropped])
    return MetricTable(data, ghosts, is_compacted=compacted is not None)


def read_curve(curve: OneCurve, *, x: Axis = "step", num_buckets: int = 400) -> Buckets | None:
    """Return one curve over the given axis in at most `num_buckets` buckets; None without one.

    Over "time" it is seconds of training, or since its first point where those were not logged.
    """
    files = event_files(curve.run_dir).get(curve.stage, [])
    names = ["value", *_NEEDED[x]]
    found = read_columns(curve.run_dir, curve.stage, files, curve.key, names)
    if found is None:
        points = read_points(files).get(curve.key)
        found = {} if points is None else _columns(points)
    if not found or found["is_ghost"].all():
        return None
    kept = ~found["is_ghost"]
    return reduce_curve(_along(found, x)[kept], found["value"][kept], num_buckets)


def read_overlay(
    curves: Sequence[OneCurve], *, x: Axis = "step", num_buckets: int = 400
) -> list[Buckets | None]:
    """Return several curves over the same axis, in the order in which they were asked for."""
    return [read_curve(curve, x=x, num_buckets=num_buckets) for curve in curves]


def summarize(table: MetricTable) -> dict[str, dict[str, float]]:
    """Return last, min, max, n and last_step of every curve; min and max skip non-numbers.

    `best` and `best_step` are there for metrics whose name tells which way is better.
    """
    import numpy as np

    figures = {}
    for key, (steps, values) in table.items():
        is_finite = np.isfinite(values)
        finite = values[is_finite]
        figures[key] = {
            "last": float(values[-1]),
            "min": float(finite.min()) if finite.size else float("nan"),
            "max": float(finite.max()) if finite.size else float("nan"),
            "n": int(values.size),
            "last_step": int(steps[-1]),
        }
        better = direction(key)
        if better is not None and finite.size:
            at = int(finite.argmin() if better == "down" else finite.argmax())
            figures[key] |= {"best": float(finite[at]), "best_step": int(steps[is_finite][at])}
    return figures


def _columns(points: Points) -> dict[str, NDArray[Any]]:
    own = {"step": points.step, "t": points.t, "value": points.value, "is_ghost": points.is_ghost}
    return {**own, **points.axes}


def _along(columns: Mapping[str, NDArray[Any]], axis: Axis) -> NDArray[Any]:
    import numpy as np

    if axis == "step":
        return columns["step"]
    known = columns.get(_LOGGED_AS[axis])
    if known is not None and not np.isnan(known).all():
        return known
    if axis == "time":
        return np.asarray(columns["t"] - columns["t"][0])
    return np.full(columns["value"].size, np.nan)
