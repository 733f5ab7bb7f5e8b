"""What the dashboard knows of one run: a pure fold of its event records.

`apply(view, records)` returns a new view; the old one stays valid. When an attempt continues
from step N, the later points of the attempts before it become ghosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from runs.alerting.host_alerts import RunAlert, alert_from
from runs.events import EventRecord, number
from tui.charts.series import Series
from tui.live.host import host_values
from tui.live.narrate import Line, narrate
from tui.live.saved import WrittenCheckpoint

MAX_LINES = 1000
MAX_SAMPLES = 2000
# The name that samples of the machine have among event records.
HOST_SAMPLE = "host-sample"
# The curve that holds when each step was logged, in Unix seconds.
CLOCK = "(t)"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """A record together with the file that it came from."""

    stage: str
    attempt: int
    rank: int
    record: EventRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleText:
    """Text that the model wrote at a step."""

    stage: str
    step: float
    prompt: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageCurves:
    """The curves of one stage, over its steps, and its newest numbers."""

    attempt: int = 0
    device: str = ""
    step: float | None = None
    total_steps: float | None = None
    latest: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Series] = field(default_factory=dict)
    ghosts: Mapping[str, tuple[Series, ...]] = field(default_factory=dict)

    def curve(self, key: str) -> Series:
        """Return the points of a metric, none when it was never logged."""
        return self.curves.get(key) or Series()


NO_CURVES = StageCurves()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveView:
    """Everything folded so far; `current` is the stage of the newest start.

    host: the machine's load over Unix seconds, by the keys of `tui.live.host`.
    """

    current: str | None = None
    stages: Mapping[str, StageCurves] = field(default_factory=dict)
    host: Mapping[str, Series] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    samples: tuple[SampleText, ...] = ()
    checkpoints: tuple[WrittenCheckpoint, ...] = ()
    alerts: tuple[RunAlert, ...] = ()
    num_records: int = 0
    num_lines: int = 0

    def stage(self, name: str | None) -> StageCurves:
        """Return the curves of a stage, empty when it has not spoken yet."""
        return self.stages.get(name or "", NO_CURVES)


def apply(view: LiveView, records: Iterable[StageRecord]) -> LiveView:
    """Return the view after `records`, which come in the order of their files."""
    fold = _Fold(view)
    for item in records:
        fold.add(item)
    return fold.finish()


_Points = tuple[list[float], list[float]]


@dataclass(slots=True)
class _Reached:
    """How far a stage came in a batch."""

    step: float
    total_steps: float | None
    latest: dict[str, float]


class _Fold:
    """Collects a batch, so that a thousand records cost one array append per curve."""

    def __init__(self, view: LiveView) -> None:
        self.view = view
        self.current = view.current
        self.stages = dict(view.stages)
        self.lines: list[Line] = []
        self.samples: list[SampleText] = []
        self.checkpoints = list(view.checkpoints)
        self.alerts: list[RunAlert] = []
        self.num_records = 0
        self.pending: dict[tuple[str, str], _Points] = {}
        self.reached: dict[str, _Reached] = {}
        self.host: dict[str, _Points] = {}

    def add(self, item: StageRecord) -> None:
        self.num_records += 1
        if item.record.kind == "step":
            # Most records are steps, and these say nothing in the log.
            if item.rank == 0:
                self.step(item)
            return
        self.lines += narrate(item.stage, item.rank, item.record)
        if item.record.kind == "alert":
            self.alert(item)
        if item.rank != 0:
            return
        match item.record.kind:
            case "start":
                self.start(item)
            case "eval":
                self.point(item.stage, "val_bpb", item.record, item.record.data.get("val_bpb"))
            case "sample":
                self.sample(item)
            case "checkpoint":
                self.checkpoint(item)
            case kind if kind == HOST_SAMPLE:
                self.sample_host(item.record)

    def start(self, item: StageRecord) -> None:
        self.flush()
        data = item.record.data
        before = self.stages.get(item.stage, NO_CURVES)
        resumed_from = number(data.get("resumed_from"))
        # An attempt from scratch replaces all of the earlier ones, step 0 included.
        limit = -1.0 if resumed_from is None else resumed_from
        curves, ghosts = {}, dict(before.ghosts)
        for key, series in before.curves.items():
            curves[key], replayed = series.split(limit)
            if len(replayed):
                ghosts[key] = (*ghosts.get(key, ()), replayed)
        self.checkpoints = [
            one for one in self.checkpoints if one.stage != item.stage or one.step <= limit
        ]
        self.current = item.stage
        self.stages[item.stage] = replace(
            before,
            attempt=item.attempt,
            device=str(data.get("device") or ""),
            step=resumed_from,
            curves=curves,
            ghosts=ghosts,
            latest={},
        )

    def step(self, item: StageRecord) -> None:
        data = item.record.data
        metrics = data.get("metrics")
        step = number(data.get("step"))
        if step is None or not isinstance(metrics, Mapping):
            return
        reached = self.reached.get(item.stage)
        if reached is None:
            latest = dict(self.stages.get(item.stage, NO_CURVES).latest)
            reached = self.reached[item.stage] = _Reached(step, None, latest)
        reached.step, reached.total_steps = step, number(data.get("total_steps"))
        for key, logged in metrics.items():
            value = logged if type(logged) is float else number(logged)
            if value is not None:
                reached.latest[key] = value
                self.put(item.stage, key, step, value)
        self.put(item.stage, CLOCK, step, item.record.t)
        self.current = self.current or item.stage

    def point(self, stage: str, key: str, record: EventRecord, value: object) -> None:
        x, y = number(record.data.get("step")), number(value)
        if x is not None and y is not None:
            self.put(stage, key, x, y)

    def put(self, stage: str, key: str, x: float, y: float) -> None:
        points = self.pending.get((stage, key))
        if points is None:
            points = self.pending[stage, key] = ([], [])
        points[0].append(x)
        points[1].append(y)

    def sample(self, item: StageRecord) -> None:
        data = item.record.data
        self.samples.append(
            SampleText(
                stage=item.stage,
                step=number(data.get("step")) or 0.0,
                prompt=str(data.get("prompt") or ""),
                text=str(data.get("text") or ""),
            )
        )

    def sample_host(self, record: EventRecord) -> None:
        for key, value in host_values(record.data).items():
            xs, ys = self.host.setdefault(key, ([], []))
            xs.append(record.t)
            ys.append(value)

    def alert(self, item: StageRecord) -> None:
        data: dict[str, Any] = dict(item.record.data)
        if item.attempt:
            data |= {"stage": item.stage, "attempt": item.attempt}
        self.alerts.append(alert_from(item.record.t, data))

    def checkpoint(self, item: StageRecord) -> None:
        data = item.record.data
        self.checkpoints.append(
            WrittenCheckpoint(
                stage=item.stage,
                t=item.record.t,
                step=int(number(data.get("step")) or 0),
                num_bytes=number(data.get("bytes")),
                sha256=str(data.get("sha256") or ""),
            )
        )

    def flush(self) -> None:
        grown: dict[str, dict[str, Series]] = {}
        for (stage, key), (xs, ys) in self.pending.items():
            before = self.stages.get(stage, NO_CURVES)
            grown.setdefault(stage, dict(before.curves))[key] = before.curve(key).extended(xs, ys)
        for stage, curves in grown.items():
            self.stages[stage] = replace(self.stages.get(stage, NO_CURVES), curves=curves)
        for stage, reached in self.reached.items():
            self.stages[stage] = replace(
                self.stages.get(stage, NO_CURVES),
                step=reached.step,
                total_steps=reached.total_steps,
                latest=reached.latest,
            )
        self.pending.clear()
        self.reached.clear()

    def finish(self) -> LiveView:
        self.flush()
        view, host = self.view, dict(self.view.host)
        for key, (xs, ys) in self.host.items():
            host[key] = (host.get(key) or Series()).extended(xs, ys)
        return LiveView(
            current=self.current,
            stages=self.stages,
            host=host,
            lines=(*view.lines, *self.lines)[-MAX_LINES:],
            samples=(*view.samples, *self.samples)[-MAX_SAMPLES:],
            checkpoints=tuple(self.checkpoints[-MAX_LINES:]),
            alerts=(*view.alerts, *self.alerts)[-MAX_LINES:],
            num_records=view.num_records + self.num_records,
            num_lines=view.num_lines + len(self.lines),
        )
