"""Alerts as rows and as a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labcli.text.figures import ABSENT, when
from labcli.text.tables import render
from runs.alerting.host_alerts import RunAlert

COLUMNS = ("t", "run", "stage", "attempt", "step", "severity", "code", "message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An alert with the run that it belongs to."""

    run_id: str
    run: str
    alert: RunAlert


def alert_row(shown: Shown) -> dict[str, Any]:
    """Return one element of `runs alerts --json`."""
    return {"run_id": shown.run_id, "run": shown.run, **alert_object(shown.alert)}


def alert_object(alert: RunAlert) -> dict[str, Any]:
    """Return an alert as JSON documents hold it."""
    return {
        "t": alert.t,
        "severity": alert.severity,
        "code": alert.code,
        "message": alert.message,
        "stage": alert.stage,
        "attempt": alert.attempt,
        "step": alert.step,
    }


def alert_table(alerts: Sequence[Shown], *, width: int | None = None) -> str:
    """Return the table of `runs alerts`, its messages broken to a width if one is given."""
    if not alerts:
        return "no alerts"
    rows = [
        [
            when(one.alert.t),
            one.alert.severity,
            one.run,
            place(one.alert),
            f"{one.alert.message} [{one.alert.code}]",
        ]
        for one in alerts
    ]
    header = ["WHEN", "SEVERITY", "RUN", "WHERE", "WHAT"]
    if len({one.run for one in alerts}) == 1:
        header.remove("RUN")
        rows = [[*row[:2], *row[3:]] for row in rows]
    return render(header, rows, width=width)


def alert_line(alert: RunAlert) -> str:
    """Return an alert as one line of `runs show`."""
    return f"{alert.severity} {when(alert.t)} {place(alert)}: {alert.message} [{alert.code}]"


def place(alert: RunAlert) -> str:
    """Return where an alert belongs: "base@120", "base", or a dash for the whole run."""
    if alert.stage is None:
        return ABSENT
    return alert.stage if alert.step is None else f"{alert.stage}@{alert.step}"
