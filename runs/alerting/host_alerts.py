"""The alerts that a supervisor wrote into host.jsonl, read without decoding its samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runs.events import EventRecord
from runs.log import LogTail, decode_record

MARK = b'"kind":"alert"'
Key = tuple[str, str | None, int | None, int | None]
# The code of the alert that a disk is nearly full.
DISK_LOW = "disk-low"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAlert:
    """One alert; `t` is in Unix seconds."""

    t: float
    code: str
    severity: str
    message: str
    stage: str | None = None
    attempt: int | None = None
    step: int | None = None

    @property
    def key(self) -> Key:
        """What makes two alerts the same."""
        return self.code, self.stage, self.attempt, self.step

    @property
    def is_trouble(self) -> bool:
        """Whether it counts, unlike what is only good to know."""
        return self.severity != "info"


def alert_from(t: float, data: Mapping[str, object]) -> RunAlert:
    """Return the alert that a log line holds."""
    stage, attempt, step = data.get("stage"), data.get("attempt"), data.get("step")
    return RunAlert(
        t=t,
        code=str(data.get("code") or "alert"),
        severity=str(data.get("severity") or "warning"),
        message=str(data.get("message") or ""),
        stage=stage if isinstance(stage, str) else None,
        attempt=attempt if isinstance(attempt, int) else None,
        step=step if isinstance(step, int) else None,
    )


class HostAlertTail:
    """The alerts of a run so far; each `read` decodes only what was added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._alerts: tuple[RunAlert, ...] = ()

    def read(self) -> tuple[RunAlert, ...]:
        """Return every alert, oldest first; a missing file has none, a shrunken one starts over."""
        try:
            with open(self._path, "rb") as stream:
                if stream.seek(0, 2) < self._offset:
                    self._offset, self._alerts = 0, ()
                stream.seek(self._offset)
                chunk = stream.read()
        except OSError:
            return self._alerts
        end = chunk.rfind(b"\n") + 1
        self._offset += end
        if MARK in chunk:
            lines = (line for line in chunk[:end].split(b"\n") if MARK in line)
            records = [record for record in map(decode_record, lines) if record is not None]
            new = [alert_from(one.t, one.data) for one in records if one.kind == "alert"]
            self._alerts = (*self._alerts, *new)
        return self._alerts


def host_alerts(path: Path) -> tuple[RunAlert, ...]:
    """Return the alerts in host.jsonl, oldest first."""
    return HostAlertTail(path).read()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedAlert:
    """An alert in the form of the events of the stage that it belongs to."""

    stage: str
    attempt: int
    record: EventRecord


class AlertFeed:
    """The alerts that were added to a host log since the last call, for whoever shows events."""

    def __init__(self, path: Path) -> None:
        self._tail = LogTail(path)
        self._num_read = 0

    def read(self) -> list[PlacedAlert]:
        """Return what is new, oldest first; what belongs to no stage belongs to "run"."""
        new = []
        for record in self._tail.read():
            if record.kind != "alert":
                continue
            alert = alert_from(record.t, record.data)
            shown = EventRecord(seq=self._num_read, t=record.t, kind="alert", data=record.data)
            self._num_read += 1
            new.append(
                PlacedAlert(stage=alert.stage or "run", attempt=alert.attempt or 0, record=shown)
            )
        return new
