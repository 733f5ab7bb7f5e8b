"""What the supervisor does about alerts: watches the stage at work, writes them, sends them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runs.alerting.alerts import WATCHED, AlertWatch
from runs.alerting.notify import Message, Notifier, should_send
from runs.errors import LabError
from runs.events import Severity
from runs.log import append_record
from runs.paths import RunPaths
from runs.record import RunRecord
from runs.settings import SEVERITIES, Settings, load_settings
from runs.supervision.host import HostLog

_BAD_ENDS = frozenset({"failed", "crashed", "killed", "stalled"})


class AlertDesk:
    """Every alert of a supervised run passes here; settings that cannot be read cost no run."""

    def __init__(self, run_dir: Path, record: RunRecord, host: HostLog) -> None:
        self._run_dir = run_dir
        self._record = record
        self._host = host
        problem = None
        try:
            settings = load_settings(RunPaths(run_dir).home, os.environ)
        except LabError as error:
            settings, problem = Settings(), str(error)
        self._settings = settings.notify
        self._notifier = Notifier(run_dir, settings.notify)
        self._watch = AlertWatch(run_dir, record, settings.alerts)
        host.low_disk_bytes = settings.alerts.low_disk_bytes
        host.on_alert = self._send
        if problem is not None:
            sys.stderr.write(f"supervisor: {problem}; alerts are as by default\n")
            host.alert("settings", "warning", f"{problem}; alerts are as by default")

    def look(self, stage: str, attempt: int, *, is_last: bool = False) -> None:
        """Write and send what begins to be wrong with the attempt at work.

        After the last look the attempt is known to be watched to its end.
        """
        for alert in self._watch.look(stage, attempt, is_last=is_last):
            more = {"stage": stage, "attempt": attempt, "step": alert.step}
            self._host.alert(alert.code, _severity(alert.severity), alert.message, **more)
        if is_last:
            place = {"stage": stage, "attempt": attempt}
            append_record(RunPaths(self._run_dir).host, WATCHED, place)

    def ended(self, state: str) -> None:
        """Send how the run ended."""
        if self._settings.ends:
            severity: Severity = "error" if state in _BAD_ENDS else "info"
            self._notifier.send(self._message("ended", severity, f"the run is {state}", {}))

    def close(self) -> None:
        """Hand over what has not been delivered."""
        self._notifier.close()

    def _send(self, alert: Mapping[str, Any]) -> None:
        severity = _severity(str(alert.get("severity")))
        if should_send(self._settings, severity):
            code, message = str(alert.get("code")), str(alert.get("message"))
            self._notifier.send(self._message(code, severity, message, alert))

    def _message(
        self, code: str, severity: Severity, message: str, data: Mapping[str, Any]
    ) -> Message:
        return Message(
            run_id=self._record.run_id,
            run=self._record.slug,
            code=code,
            severity=severity,
            message=message,
            stage=data.get("stage"),
            step=data.get("step"),
        )


def _severity(text: str) -> Severity:
    return next((known for known in SEVERITIES if known == text), "warning")
