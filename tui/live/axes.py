"""The x axes that the curves of a run can be drawn over. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np

from tui.charts.names import AxisName
from tui.charts.plot import NO_RUN
from tui.charts.series import FloatArray, Series
from tui.charts.warp import Warp, warp_of
from tui.live.state import CLOCK, NO_CURVES, StageCurves

AXES: tuple[AxisName, ...] = get_args(AxisName)
# The metrics that count up beside every other; dollars are the hours of training at their price.
_COUNTED: dict[AxisName, str] = {
    "tokens": "tokens", "time": "train_s", "flops": "flops", "usd": "train_s",
}  # fmt: skip
# What counts up, or down to the end, says nothing as a curve.
COUNTERS = frozenset({*_COUNTED.values(), "epoch", "eta_s", CLOCK})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """One run in the charts: a stage's curves and the machine's load while it ran.

    run and letter tell it apart from others that it is overlaid with. started_s and ended_s, in
    Unix seconds, are those of the stage.
    """

    name: str
    curves: StageCurves = NO_CURVES
    host: Mapping[str, Series] = field(default_factory=dict)
    run: int = NO_RUN
    letter: str = ""
    usd_per_hour: float | None = None
    started_s: float | None = None
    ended_s: float | None = None

    @property
    def has_steps(self) -> bool:
        """Whether there are two steps, so that steps can be an axis."""
        return len(self.curves.curve(CLOCK)) >= 2


def axes_of(subjects: Sequence[Subject]) -> tuple[AxisName, ...]:
    """Return the axes that at least one of the runs can be drawn over; steps always are."""
    return tuple(
        axis
        for axis in AXES
        if axis == "step" or any(step_warp(one, axis) is not None for one in subjects)
    )


def step_warp(subject: Subject, axis: AxisName) -> Warp | None:
    """Return how steps stand on another axis; None where the run has not measured it."""
    scale = 1.0
    if axis == "usd":
        scale = (subject.usd_per_hour or 0.0) / 3600
    counted = subject.curves.curve(_COUNTED.get(axis, ""))
    if axis == "time" and not len(counted):
        clock = subject.curves.curve(CLOCK)
        return warp_of(clock.x, clock.y - clock.y[0]) if len(clock) else None
    return warp_of(counted.x, counted.y, scale=scale)


def host_warp(subject: Subject, axis: AxisName) -> Warp | None:
    """Return how Unix seconds stand on an axis.

    Without steps it is always the seconds since the stage began.
    """
    clock = subject.curves.curve(CLOCK)
    if not subject.has_steps:
        return _wall(subject)
    if axis == "step":
        return warp_of(clock.y, clock.x)
    steps = step_warp(subject, axis)
    if steps is None:
        return None
    is_parallel = len(steps.native) == len(clock) and steps.native[-1] == clock.x[-1]
    shown = steps.shown if is_parallel else np.interp(clock.x, steps.native, steps.shown)
    return warp_of(clock.y, shown, scale=steps.scale)


def host_range(subject: Subject) -> tuple[float, float] | None:
    """Return the Unix seconds whose samples belong to the stage."""
    clock = subject.curves.curve(CLOCK)
    if subject.has_steps:
        return float(clock.y[0]), float(clock.y[-1])
    if subject.started_s is None:
        return None
    return subject.started_s, subject.ended_s if subject.ended_s is not None else float("inf")


def step_at(subject: Subject, axis: AxisName, place: float) -> float:
    """Return the step at a place of an axis."""
    warp = None if axis == "step" else step_warp(subject, axis)
    return place if warp is None else float(warp.backward(np.array([place]))[0])


def place_of(subject: Subject, axis: AxisName, step: float) -> float:
    """Return the place of a step on an axis."""
    warp = None if axis == "step" else step_warp(subject, axis)
    return step if warp is None else float(warp.forward(np.array([step]))[0])


def within(series: Series, start: float, end: float) -> tuple[FloatArray, FloatArray]:
    """Return the points of a curve over time between two moments."""
    if not series.is_sorted:
        is_inside = (series.x >= start) & (series.x <= end)
        return series.x[is_inside], series.y[is_inside]
    first = int(np.searchsorted(series.x, start, side="left"))
    last = int(np.searchsorted(series.x, end, side="right"))
    return series.x[first:last], series.y[first:last]


def _wall(subject: Subject) -> Warp | None:
    if subject.started_s is None:
        return None
    start = subject.started_s
    return Warp(native=np.array([start, start + 1.0]), shown=np.array([0.0, 1.0]))
