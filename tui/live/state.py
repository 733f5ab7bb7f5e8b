"""What the dashboard knows of one run: a pure fold of its event records.

`apply(view, records)` returns a new view; the old one stays valid. When an attempt continues
from step N, the later points of the attempts before it become ghosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from runs.events import EventRecord, number
from tui.charts.series import Series
from tui.live.narrate import Line, narrate

CHARTED = ("loss", "val_bpb", "tok_per_sec", "mfu")
MAX_LINES = 1000
MAX_SAMPLES = 200


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCheckpoint:
    """A checkpoint that a stage announced; `path` is relative to the run directory."""

    stage: str
    attempt: int
    t: float
    step: float
    num_bytes: float
    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageCurves:
    """The curves of one stage and its newest numbers."""

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
    """Everything folded so far; `current` is the stage of the newest start."""

    current: str | None = None
    stages: Mapping[str, StageCurves] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    samples: tuple[SampleText, ...] = ()
    checkpoints: tuple[SavedCheckpoint, ...] = ()
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


class _Fold:
    """Collects a batch, so that a thousand records cost one array append per curve."""

    def __init__(self, view: LiveView) -> None:
        self.view = view
        self.current = view.current
        self.stages = dict(view.stages)
        self.lines: list[Line] = []
        self.samples: list[SampleText] = []
        self.checkpoints: list[SavedCheckpoint] = []
        self.num_records = 0
        self.pending: dict[tuple[str, str], tuple[list[float], list[float]]] = {}

    def add(self, item: StageRecord) -> None:
        self.num_records += 1
        self.lines += narrate(item.stage, item.rank, item.record)
        if item.rank != 0:
            return
        match item.record.kind:
            case "start":
                self.start(item)
            case "step":
                self.step(item)
            case "eval":
                self.point(item.stage, "val_bpb", item.record, item.record.data.get("val_bpb"))
            case "sample":
                self.sample(item)
            case "checkpoint":
                self.checkpoint(item)

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
        values = {key: number(value) for key, value in metrics.items()}
        latest = {key: value for key, value in values.items() if value is not None}
        for key in CHARTED:
            self.point(item.stage, key, item.record, latest.get(key))
        before = self.stages.get(item.stage, NO_CURVES)
        total = number(data.get("total_steps"))
        self.stages[item.stage] = replace(
            before, step=step, total_steps=total, latest={**before.latest, **latest}
        )
        self.current = self.current or item.stage

    def point(self, stage: str, key: str, record: EventRecord, value: object) -> None:
        x, y = number(record.data.get("step")), number(value)
        if x is None or y is None:
            return
        xs, ys = self.pending.setdefault((stage, key), ([], []))
        xs.append(x)
        ys.append(y)

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

    def checkpoint(self, item: StageRecord) -> None:
        data = item.record.data
        self.checkpoints.append(
            SavedCheckpoint(
                stage=item.stage,
                attempt=item.attempt,
                t=item.record.t,
                step=number(data.get("step")) or 0.0,
                num_bytes=number(data.get("bytes")) or 0.0,
                path=str(data.get("path") or ""),
                sha256=str(data.get("sha256") or ""),
            )
        )

    def flush(self) -> None:
        for (stage, key), (xs, ys) in self.pending.items():
            before = self.stages.get(stage, NO_CURVES)
            grown = before.curve(key).extended(xs, ys)
            self.stages[stage] = replace(before, curves={**before.curves, key: grown})
        self.pending.clear()

    def finish(self) -> LiveView:
        self.flush()
        return LiveView(
            current=self.current,
            stages=self.stages,
            lines=(*self.view.lines, *self.lines)[-MAX_LINES:],
            samples=(*self.view.samples, *self.samples)[-MAX_SAMPLES:],
            checkpoints=(*self.view.checkpoints, *self.checkpoints)[-MAX_LINES:],
            num_records=self.view.num_records + self.num_records,
            num_lines=self.view.num_lines + len(self.lines),
        )
