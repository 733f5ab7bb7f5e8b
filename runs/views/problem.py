"""What a person should know of a run, or do about it, in one line. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runs.alerting.host_alerts import DISK_LOW, RunAlert
from runs.record import RunRecord
from runs.scheduling.budget import SHARED_BUDGET
from runs.supervision.control import Control
from runs.views.presence import Presence
from runs.views.run_view import StageView
from runs.views.states import RunState

# The states in which what the supervisor did about it is what a person should know.
_ADVISED = frozenset({"queued", "stalled", "failed", "killed", "crashed"})


def problem_of(
    record: RunRecord,
    control: Control,
    here: Presence,
    current: StageView,
    state: RunState,
    alerts: Sequence[RunAlert] = (),
) -> str | None:
    """Return the line for a run whose stage at work is `current`; None where all is well.

    alerts: those of its machine, which may know what a process could not say any more.
    """
    resume = f"labcli runs resume {record.slug}"
    launched = control.stages.get(current.stage)
    if state in ("running", "stalled", "stopping") and here.supervisor == "dead":
        adopt = f"labcli runs adopt {record.slug}"
        return f"supervisor is gone, {current.stage} still works on: {adopt}"
    # The promise of a restart dies with the supervisor that made it.
    is_void = control.state == "waiting" and state != "queued"
    if launched and launched.advice and state in _ADVISED and not is_void:
        return launched.advice
    if state == "stalled":
        return f"{current.stage} is alive but silent; stop it with: labcli runs stop {record.slug}"
    if state == "failed" and current.error:
        return f"{current.stage} failed: {current.error}"
    if state == "killed" and launched and launched.exit and launched.exit.signal:
        return f"{current.stage} was killed by signal {launched.exit.signal}: {resume}"
    if state == "crashed" and here.supervisor is None:
        return "the supervisor did not start: see logs/supervisor.log in the run directory"
    if state == "crashed":
        why = launched.exit.why if launched and launched.exit else None
        last = f" (its log ends: {why})" if why else ""
        since_s = current.started_s or 0.0
        if any(alert.code == DISK_LOW and alert.t >= since_s for alert in alerts):
            last += "; the disk was nearly full: free some, then"
        return f"{current.stage} is gone without a word{last}: {resume}"
    if state == "budget":
        why = control.over_budget or "the budget is used up"
        # A limit that several runs share is raised for all of them.
        is_shared = why.startswith(SHARED_BUDGET)
        then = f"labcli sweep resume {record.sweep.get('name')}" if is_shared else resume
        return f"{why}; go on with: {then} --max-usd or --max-hours"
    if state == "lost":
        return f"last seen on another machine or before a reboot: {resume}"
    return None
