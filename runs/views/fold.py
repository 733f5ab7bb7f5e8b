"""Events folded to facts: one fold per event log, merged over the attempts of a stage."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runs.events import EventRecord, number

MAX_SAMPLES = 8
MAX_NOTES = 32
# How many recent steps tell how long a step takes, and how many it takes to tell.
STEP_WINDOW = 32
MIN_STEPS_TIMED = 3


@dataclass(slots=True, kw_only=True)
class Pace:
    """How fast one kind of work advances, from the first and the last report of it."""

    key: tuple[str, str] = ("", "")
    first: tuple[float, float] = (0.0, 0.0)
    last: tuple[float, float] = (0.0, 0.0)

    def report(self, key: tuple[str, str], t: float, done: float) -> None:
        """Take a report of `done` units at time `t`; other work starts a new pace."""
        if key != self.key or done < self.last[1]:
            self.key, self.first = key, (t, done)
        self.last = (t, done)

    def unit_s(self) -> float | None:
        """Return the seconds that one unit takes, or None before there are two reports."""
        units = self.last[1] - self.first[1]
        return (self.last[0] - self.first[0]) / units if units > 0 else None


@dataclass(slots=True, kw_only=True)
class AttemptFold:
    """What one event log says so far; `apply` takes its records in order."""

    attempt: int
    rank: int = 0
    started_s: float | None = None
    last_s: float | None = None
    last_work_s: float | None = None
    resumed_from: int | None = None
    world_size: int = 1
    end_reason: str | None = None
    ended_s: float | None = None
    error: str | None = None
    error_type: str | None = None
    is_unexpected: bool = False
    phase: str | None = None
    step_times_s: deque[float] = field(default_factory=lambda: deque(maxlen=STEP_WINDOW))
    step: int | None = None
    done: float | None = None
    total: float | None = None
    unit: str = ""
    label: str = ""
    pace: Pace = field(default_factory=Pace)
    told_eta_s: float | None = None
    evals: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    num_alerts: int = 0

    def apply(self, record: EventRecord) -> None:
        """Take one record into account; unknown kinds and malformed fields change nothing."""
        self.last_s = record.t
        if record.kind == "heartbeat":
            self.phase = _text(record.data.get("phase"))
        else:
            if record.kind == "step" and self.unit == "steps" and self.label == "":
                # Since the event before it, which may be that of a checkpoint or an evaluation.
                self.step_times_s.append(record.t - (self.last_work_s or record.t))
            self.phase = None
            self.last_work_s = record.t
        handler = _HANDLERS.get(record.kind)
        if handler is not None:
            handler(self, record)

    @property
    def eta_s(self) -> float | None:
        """Seconds that the work at hand still takes: as training says it, else at the pace so far.

        Training has not said it in its first steps, nor in runs of older versions.
        """
        if self.told_eta_s is not None:
            return self.told_eta_s
        unit_s = self.pace.unit_s()
        if unit_s is None or self.done is None or self.total is None:
            return None
        return max(0.0, (self.total - self.done) * unit_s)

    @property
    def step_s(self) -> float | None:
        """Median time of the recent steps, or None before there are enough of them."""
        if len(self.step_times_s) < MIN_STEPS_TIMED:
            return None
        return statistics.median(self.step_times_s)


def _start(fold: AttemptFold, record: EventRecord) -> None:
    fold.started_s = record.t
    fold.resumed_from = _int(record.data.get("resumed_from"))
    fold.step = fold.resumed_from
    fold.world_size = _int(record.data.get("world_size")) or 1


def _progress(fold: AttemptFold, record: EventRecord) -> None:
    fold.done = number(record.data.get("done"))
    fold.total = number(record.data.get("total"))
    fold.unit = str(record.data.get("unit", ""))
    fold.label = str(record.data.get("label", ""))
    fold.told_eta_s = None
    if fold.done is not None:
        fold.pace.report((fold.unit, fold.label), record.t, fold.done)


def _step(fold: AttemptFold, record: EventRecord) -> None:
    step = _int(record.data.get("step"))
    if step is None:
        return
    fold.step = step
    fold.done, fold.total = float(step), number(record.data.get("total_steps"))
    fold.unit, fold.label = "steps", ""
    fold.pace.report(("steps", ""), record.t, float(step))
    metrics = _numbers(record.data.get("metrics"))
    fold.metrics.update(metrics)
    fold.told_eta_s = metrics.get("eta_s")


def _eval(fold: AttemptFold, record: EventRecord) -> None:
    data = record.data
    results = data.get("results")
    fold.evals.append(
        {
            "step": _int(data.get("step")) or 0,
            "val_bpb": number(data.get("val_bpb")),
            "val_sha256": _text(data.get("val_sha256")),
            "results": {name: _numbers(value) for name, value in results.items()}
            if isinstance(results, dict)
            else None,
        }
    )


def _checkpoint(fold: AttemptFold, record: EventRecord) -> None:
    if _int(record.data.get("step")) is not None and _text(record.data.get("path")):
        fold.checkpoints.append(dict(record.data))


def _artifact(fold: AttemptFold, record: EventRecord) -> None:
    name = _text(record.data.get("name"))
    if name and _text(record.data.get("path")):
        fold.artifacts[name] = dict(record.data)


def _sample(fold: AttemptFold, record: EventRecord) -> None:
    fold.samples = [*fold.samples[1 - MAX_SAMPLES :], dict(record.data)]


def _alert(fold: AttemptFold, record: EventRecord) -> None:
    fold.num_alerts += 1
    fold.alerts = [*fold.alerts[1 - MAX_SAMPLES :], dict(record.data)]


def _note(fold: AttemptFold, record: EventRecord) -> None:
    fold.notes = [*fold.notes[1 - MAX_NOTES :], dict(record.data)]


def _error(fold: AttemptFold, record: EventRecord) -> None:
    fold.error_type = _text(record.data.get("type"))
    fold.error = str(record.data.get("message") or fold.error_type or "unknown error")
    fold.is_unexpected = bool(record.data.get("traceback"))


def _end(fold: AttemptFold, record: EventRecord) -> None:
    fold.end_reason = _text(record.data.get("reason"))
    fold.ended_s = record.t


_HANDLERS = {
    "start": _start,
    "progress": _progress,
    "step": _step,
    "eval": _eval,
    "checkpoint": _checkpoint,
    "artifact": _artifact,
    "sample": _sample,
    "alert": _alert,
    "note": _note,
    "error": _error,
    "end": _end,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFacts:
    """What the event logs of a stage say; the newest attempt speaks for its state.

    `evals`, `checkpoints` and `samples` hold the lineage: what an attempt did beyond the step
    that the next one resumed from is left out. `num_silent` counts the ranks of the newest
    attempt that have not written how they ended.
    """

    attempt: int = 0
    started_s: float | None = None
    ended_s: float | None = None
    end_reason: str | None = None
    error: str | None = None
    error_type: str | None = None
    num_silent: int = 0
    phase: str | None = None
    step_s: float | None = None
    last_s: float | None = None
    last_work_s: float | None = None
    resumed_from: int | None = None
    step: int | None = None
    done: float | None = None
    total: float | None = None
    unit: str = ""
    label: str = ""
    eta_s: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    evals: Sequence[Mapping[str, Any]] = ()
    checkpoints: Sequence[Mapping[str, Any]] = ()
    samples: Sequence[Mapping[str, Any]] = ()
    artifacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    alerts: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[Mapping[str, Any]] = ()
    num_alerts: int = 0

    @property
    def results(self) -> dict[str, dict[str, float]] | None:
        """Task results of the stage, the latest of each task."""
        merged: dict[str, dict[str, float]] = {}
        for entry in self.evals:
            merged.update(entry["results"] or {})
        return merged or None

    @property
    def best_bpb(self) -> float | None:
        """The lowest bits per byte on the validation text that the last evaluation used."""
        last = self.last_bpb
        if last is None:
            return None
        comparable = (entry for entry in self.evals if entry["val_sha256"] == last[1])
        found = [entry["val_bpb"] for entry in comparable if entry["val_bpb"] is not None]
        # NaN is lower than nothing.
        return min((value for value in found if value == value), default=last[0])

    @property
    def last_bpb(self) -> tuple[float, str | None] | None:
        """The latest validation bits per byte, and the hash of the text it was measured on."""
        for entry in reversed(self.evals):
            if entry["val_bpb"] is not None:
                return entry["val_bpb"], entry["val_sha256"]
        return None


def fold_stage(folds: Iterable[AttemptFold]) -> StageFacts:
    """Return the facts of a stage from the folds of its event logs, in any order."""
    ordered = sorted(folds, key=lambda fold: (fold.attempt, fold.rank))
    mains = [fold for fold in ordered if fold.rank == 0]
    if not mains:
        return StageFacts()
    newest = mains[-1]
    peers = [fold for fold in ordered if fold.attempt == newest.attempt]
    # What one rank says of itself, before the connections that the others lost by its end.
    failed = min(
        (fold for fold in peers if fold.error is not None),
        key=lambda fold: (fold.is_unexpected, fold.rank),
        default=None,
    )
    starts = [fold.started_s for fold in mains if fold.started_s is not None]
    shown = next((fold for fold in reversed(mains) if fold.metrics), newest)
    return StageFacts(
        attempt=newest.attempt,
        started_s=min(starts, default=None),
        ended_s=newest.ended_s,
        end_reason=_end_reason(newest, peers),
        error=failed.error if failed else None,
        error_type=failed.error_type if failed else None,
        num_silent=newest.world_size - sum(fold.end_reason is not None for fold in peers),
        phase=newest.phase,
        step_s=newest.step_s,
        last_s=max((fold.last_s for fold in peers if fold.last_s is not None), default=None),
        last_work_s=newest.last_work_s,
        resumed_from=newest.resumed_from,
        step=newest.step,
        done=newest.done,
        total=newest.total,
        unit=newest.unit,
        label=newest.label,
        eta_s=newest.eta_s,
        metrics=shown.metrics if newest.resumed_from is not None else newest.metrics,
        evals=_lineage(mains, [fold.evals for fold in mains]),
        checkpoints=_lineage(mains, [fold.checkpoints for fold in mains]),
        samples=_lineage(mains, [fold.samples for fold in mains])[-MAX_SAMPLES:],
        artifacts={name: item for fold in mains for name, item in fold.artifacts.items()},
        alerts=[alert for fold in ordered for alert in fold.alerts],
        notes=[note for fold in mains for note in fold.notes][-MAX_NOTES:],
        num_alerts=sum(fold.num_alerts for fold in ordered),
    )


def _end_reason(newest: AttemptFold, peers: Sequence[AttemptFold]) -> str | None:
    # One failed rank fails the stage, whatever rank 0 had managed to write by then.
    if any(fold.end_reason == "failed" for fold in peers):
        return "failed"
    return newest.end_reason


def _lineage(
    mains: Sequence[AttemptFold], items: Sequence[Sequence[Mapping[str, Any]]]
) -> list[Mapping[str, Any]]:
    kept: list[Mapping[str, Any]] = []
    for fold, added in zip(mains, items, strict=True):
        if fold.started_s is not None:
            limit = -1 if fold.resumed_from is None else fold.resumed_from
            # What belongs to the step resumed from is made, and told, again.
            again = {item.get("step") for item in added}
            kept = [
                item
                for item in kept
                if (_int(item.get("step")) or 0) <= limit and item.get("step") not in again
            ]
        kept += added
    return kept


def _numbers(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    parsed = {str(key): number(item) for key, item in value.items()}
    return {key: item for key, item in parsed.items() if item is not None}


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
