"""Who is at work on a run: its supervisor, or a launch that is on its way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runs.events import number
from runs.log import read_log
from runs.paths import RunPaths
from runs.supervision.control import Control
from runs.supervision.process import Liveness, identity_from, liveness


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Who is there: the supervisor, and a launch that no supervisor has confirmed yet.

    `usd_per_hour` is the price that somebody has set since the run was made.
    """

    supervisor: Liveness | None
    launch: Liveness | None
    is_withdrawn: bool = False
    usd_per_hour: float | None = None


def presence(run_dir: Path, control: Control) -> Presence:
    """Return whether the supervisor of a run lives, and whether a new one is on its way."""
    requests = read_log(RunPaths(run_dir).requests)
    launches = [record for record in requests if record.kind == "spawned"]
    launch = None
    if launches and launches[-1].t >= (control.supervisor_s or 0.0):
        identity = identity_from(launches[-1].data)
        if identity is not None and identity != control.supervisor:
            launch = liveness(identity)
    supervisor = None if control.supervisor is None else liveness(control.supervisor)
    said = [record.kind for record in requests if record.kind in ("launch", "enqueue", "stop")]
    is_withdrawn = "launch" not in said and said[-1:] == ["stop"]
    prices = [record.data.get("usd_per_hour") for record in requests if record.kind == "budget"]
    return Presence(
        supervisor=supervisor,
        launch=launch,
        is_withdrawn=is_withdrawn,
        usd_per_hour=number(prices[-1]) if prices else None,
    )
