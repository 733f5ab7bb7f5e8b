"""What drawing costs: nine live charts over a million points, measured without a terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from runs.events import EventRecord
from tui.charts.sheet import ChartState, Sheet, lay_out
from tui.live.axes import Subject
from tui.live.chart_set import ChartSet
from tui.live.state import LiveView, StageRecord, apply
from tui.shell.glyphs import UNICODE

NUM_CHARTS = 9
_METRICS = (
    "loss", "tok_per_sec", "mfu", "grad_norm", "lrm", "reward", "entropy", "kl", "accuracy",
)  # fmt: skip
_BATCH = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawingCost:
    """CPU milliseconds per frame, in which every curve has grown by one step.

    fold_ms: taking one step in. charts_ms: smoothing and reducing it, and laying all charts out.
    """

    num_points: int
    fold_ms: float
    charts_ms: float
    zoomed_ms: float


def long_view(num_points: int) -> LiveView:
    """Return a stage with nine noisy curves that hold `num_points` points in all."""
    view = LiveView()
    num_steps = max(num_points // len(_METRICS), 2)
    for first in range(1, num_steps + 1, _BATCH):
        last = min(first + _BATCH, num_steps + 1)
        view = apply(view, [_step(number) for number in range(first, last)])
    return view


def drawing_cost(
    num_points: int = 1_000_000, *, num_frames: int = 50, size: tuple[int, int] = (50, 8)
) -> DrawingCost:
    """Return what a frame of nine charts of `size` characters costs while a run goes on."""
    view = long_view(num_points)
    charts = ChartSet()
    last = int(view.stage("base").step or 0)
    _frame(charts, view, ChartState(), size)
    fold_s, spent_s = 0.0, {False: 0.0, True: 0.0}
    for number in range(1, num_frames + 1):
        started = time.process_time()
        view = apply(view, [_step(last + number)])
        fold_s += time.process_time() - started
        is_pointing = number % 2 == 0
        state = ChartState(crosshair=last / 2) if is_pointing else ChartState()
        started = time.process_time()
        _frame(charts, view, state, size)
        spent_s[is_pointing] += time.process_time() - started
    return DrawingCost(
        num_points=num_points,
        fold_ms=1000 * fold_s / num_frames,
        charts_ms=1000 * spent_s[False] / max(num_frames - num_frames // 2, 1),
        zoomed_ms=1000 * spent_s[True] / max(num_frames // 2, 1),
    )


def _frame(
    charts: ChartSet, view: LiveView, state: ChartState, size: tuple[int, int]
) -> list[Sheet]:
    subject = Subject(name="bench", curves=view.stage("base"))
    shown = charts.charts([subject], "step", has_main=False)[:NUM_CHARTS]
    return [
        lay_out(data, state, width=size[0], height=size[1], glyphs=UNICODE) for _, data in shown
    ]


def _step(number: int) -> StageRecord:
    noise = np.sin(number * np.arange(1.0, len(_METRICS) + 1) ** 2) * 0.1
    values = (2.0 + 6.0 / (1 + number / 1000) + noise).tolist()
    data = {"step": number, "metrics": dict(zip(_METRICS, values, strict=True))}
    record = EventRecord(seq=number, t=1.7e9 + number * 0.2, kind="step", data=data)
    return StageRecord(stage="base", attempt=1, rank=0, record=record)
