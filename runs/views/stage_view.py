"""One stage as it stands now: what its events say, and what the supervisor knows of it."""

from __future__ import annotations

from runs.record import RunRecord, StagePlan
from runs.supervision.control import Control, StageControl
from runs.supervision.process import liveness
from runs.views.fold import StageFacts
from runs.views.presence import Presence
from runs.views.run_view import StageView
from runs.views.states import ACTIVE, ENDED, StageSigns, stage_state, work_limit_s


def stage_view(
    record: RunRecord,
    entry: StagePlan,
    facts: StageFacts,
    control: Control,
    here: Presence,
    now: float,
) -> StageView:
    """Return a stage of a run; `entry` is what the run planned of it, `now` a Unix time."""
    launched = control.stages.get(entry.stage)
    attempt = max(facts.attempt, launched.attempt if launched else 0)
    is_heard = facts.attempt == attempt
    heard = facts if is_heard else StageFacts()
    signs = _signs(heard, launched, control, here, now, min_s=record.policy.stall_min_s)
    state = stage_state(signs)
    bpb = facts.last_bpb
    exit_s = launched.exit.t if launched and launched.exit else None
    return StageView(
        stage=entry.stage,
        state=state,
        attempt=attempt,
        step=facts.step,
        total=entry.total if facts.total is None else facts.total,
        done=facts.done,
        unit=facts.unit,
        label=facts.label,
        eta_s=facts.eta_s if state in ACTIVE else None,
        started_s=facts.started_s or (launched.launched_s if launched else None),
        ended_s=(facts.ended_s or exit_s or facts.last_s) if state in ENDED else None,
        val_bpb=bpb[0] if bpb else None,
        val_sha256=bpb[1] if bpb else None,
        best_bpb=facts.best_bpb,
        results=facts.results,
        metrics=facts.metrics,
        error=facts.error if is_heard else None,
        resumed_from=facts.resumed_from,
        num_alerts=facts.num_alerts,
    )


def _signs(
    facts: StageFacts,
    launched: StageControl | None,
    control: Control,
    here: Presence,
    now: float,
    *,
    min_s: float,
) -> StageSigns:
    def age(t: float | None) -> float | None:
        return None if t is None else now - t

    worker = launched.worker if launched else None
    return StageSigns(
        is_launched=launched is not None,
        end_reason=facts.end_reason,
        has_error=facts.error is not None,
        num_silent=facts.num_silent,
        exit=launched.exit if launched else None,
        worker=None if worker is None else liveness(worker),
        is_supervised=here.supervisor == "alive"
        and launched is not None
        and launched.held_s >= (control.supervisor_s or 0.0),
        is_stopping=control.state == "stopping",
        event_age_s=age(facts.last_s),
        work_age_s=age(facts.last_work_s or (launched.launched_s if launched else None)),
        control_age_s=age(control.last_s),
        work_limit_s=work_limit_s(step_s=facts.step_s, phase=facts.phase, min_s=min_s),
    )
