"""The alerts of a run: those that its supervisor and workers wrote, and those its events show.

Nothing here runs in a training process. The supervisor watches with `AlertWatch`; a reader that
wants all of them, also of a run that nobody watched, asks `read_alerts`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from runs.alerting.detect import WARMUP_STEPS, Detector, Finding, detect
from runs.alerting.host_alerts import MARK, RunAlert, alert_from, host_alerts
from runs.errors import LabError
from runs.events import EventTail, decode, number, read_events
from runs.log import read_log
from runs.paths import RunPaths
from runs.record import RunRecord, load_record
from runs.settings import AlertRules
from runs.views.facts import EventFile, event_files, stage_facts
from runs.views.query import run_dirs

LOOK_EVERY_S = 0.5
WATCHED = "watched"
# What one look may read: a supervisor that takes over a long attempt catches up bit by bit.
_LOOK_BYTES = 1 << 20
# Earlier runs that are looked at for what is usual, and how much of each.
_MAX_RUNS = 200
_NUM_ALIKE = 3
_TAIL_BYTES = 256 * 1024
_SPEEDS = ("mfu", "tok_per_sec")


def written_alerts(run_dir: Path) -> list[RunAlert]:
    """Return the alerts that a supervisor or a worker wrote, oldest first."""
    found = list(host_alerts(RunPaths(run_dir).host))
    for files in event_files(run_dir).values():
        for file in files:
            found += _worker_alerts(file)
    return sorted(found, key=lambda alert: alert.t)


def read_alerts(run_dir: Path, rules: AlertRules) -> list[RunAlert]:
    """Return every alert of a run, oldest first, each once.

    What a supervisor has not watched to its end is looked at here.
    """
    written = written_alerts(run_dir)
    known = {alert.key for alert in written}
    found = [alert for alert in _found(run_dir, rules) if alert.key not in known]
    return sorted([*written, *found], key=lambda alert: alert.t)


def _worker_alerts(file: EventFile) -> Iterator[RunAlert]:
    try:
        with open(file.path, "rb") as stream:
            lines = [line for line in stream if MARK in line]
    except OSError:
        return
    for record in map(decode, lines):
        if record is not None and record.kind == "alert":
            place = {"stage": file.stage, "attempt": file.attempt}
            yield alert_from(record.t, {**record.data, **place})


def _watched(run_dir: Path) -> set[tuple[str | None, int | None]]:
    """Return the attempts that a supervisor has watched to their end."""
    records = (record for record in read_log(RunPaths(run_dir).host) if record.kind == WATCHED)
    return {(record.text("stage"), record.integer("attempt")) for record in records}


def _found(run_dir: Path, rules: AlertRules) -> Iterator[RunAlert]:
    watched = _watched(run_dir)
    for stage, files in event_files(run_dir).items():
        for file in files:
            if file.rank == 0 and (stage, file.attempt) not in watched:
                for t, finding in detect(read_events(file.path), rules):
                    yield _as_alert(t, finding, stage, file.attempt)


def _as_alert(t: float, finding: Finding, stage: str, attempt: int) -> RunAlert:
    return RunAlert(
        t=t,
        code=finding.code,
        severity=finding.severity,
        message=finding.message,
        stage=stage,
        attempt=attempt,
        step=finding.step,
    )


class AlertWatch:
    """Follows the attempt at work and returns what begins to be wrong, each thing once.

    What host.jsonl holds already is not said again: a supervisor that takes over a run reads the
    events of the attempt from their beginning.
    """

    def __init__(
        self,
        run_dir: Path,
        record: RunRecord,
        rules: AlertRules,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = RunPaths(run_dir)
        self._record = record
        self._rules = rules
        self._clock = clock
        self._due_s = clock()
        self._place: tuple[str, int] | None = None
        self._tail = EventTail(self._paths.host)
        self._detector = Detector(rules)
        self._known = {alert.key for alert in host_alerts(self._paths.host)}

    def look(self, stage: str, attempt: int, *, is_last: bool = False) -> list[RunAlert]:
        """Return what is new; `is_last` looks at once, at all that is left."""
        if self._clock() < self._due_s and not is_last:
            return []
        self._due_s = self._clock() + LOOK_EVERY_S
        if self._place != (stage, attempt):
            self._place = (stage, attempt)
            self._tail = EventTail(self._paths.events(stage, attempt))
            usual = usual_speed(self._paths, self._record, stage)
            self._detector = Detector(self._rules, usual=usual)
        new = []
        for record in self._tail.read(max_bytes=None if is_last else _LOOK_BYTES):
            for finding in self._detector.apply(record):
                alert = _as_alert(record.t, finding, stage, attempt)
                if alert.key not in self._known:
                    self._known.add(alert.key)
                    new.append(alert)
        return new


def usual_speed(paths: RunPaths, record: RunRecord, stage: str) -> dict[str, float]:
    """Return the median speed of this stage in finished runs like this one, by metric.

    Alike is what has the same settings of the stage and the same hardware.
    """
    medians: list[dict[str, float]] = []
    config_hash = record.stage(stage).config_hash
    for run_dir in run_dirs(paths.home)[:_MAX_RUNS]:
        if run_dir == paths.run_dir or len(medians) == _NUM_ALIKE:
            continue
        try:
            other = load_record(run_dir)
        except LabError:
            continue
        is_alike = _hardware(other) == _hardware(record) and any(
            entry.stage == stage and entry.config_hash == config_hash for entry in other.stages
        )
        if is_alike and stage_facts(run_dir, stage).end_reason == "finished":
            medians.append(_median_speeds(run_dir, stage))
    found = {key: [one[key] for one in medians if key in one] for key in _SPEEDS}
    return {key: statistics.median(values) for key, values in found.items() if values}


def _hardware(record: RunRecord) -> tuple[object, ...]:
    host = record.host
    return (host.get("cpu"), host.get("num_cpus"), str(host.get("gpus")), record.nproc)


def _median_speeds(run_dir: Path, stage: str) -> dict[str, float]:
    files = [file for file in event_files(run_dir).get(stage, []) if file.rank == 0]
    if not files:
        return {}
    metrics = list(_last_metrics(files[-1].path))[WARMUP_STEPS:]
    found: dict[str, list[float]] = {key: [] for key in _SPEEDS}
    for entry in metrics:
        for key, values in found.items():
            value = number(entry.get(key))
            if value is not None and value > 0:
                values.append(value)
    return {key: statistics.median(values) for key, values in found.items() if values}


def _last_metrics(path: Path) -> Iterable[Mapping[str, object]]:
    try:
        with open(path, "rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = stream.read().split(b"\n")
    except OSError:
        return
    for line in lines:
        record = decode(line)
        metrics = record.data.get("metrics") if record is not None else None
        if isinstance(metrics, Mapping):
            yield metrics
