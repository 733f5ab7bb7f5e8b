"""What a run looks like from outside: views folded from its files, never from the registry."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from runs.alerting.host_alerts import RunAlert
from runs.errors import LabError
from runs.events import number
from runs.ids import is_ulid, ulid_time_s
from runs.labels import Labels, fold_annotations
from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.record import RunRecord, StagePlan
from runs.registry.collecting import uncollected
from runs.scheduling.budget import SHARED_BUDGET
from runs.scheduling.queue import position, why_waiting
from runs.supervision.control import Control, StageControl
from runs.supervision.process import Liveness, identity_from, liveness
from runs.views.facts import FoldCache, load_facts
from runs.views.fold import StageFacts
from runs.views.kept_views import Form, KeptViews
from runs.views.states import (
    ACTIVE,
    ENDED,
    RunSigns,
    RunState,
    StageSigns,
    StageState,
    current_stage,
    run_state,
    stage_state,
    work_limit_s,
)

# The states in which what the supervisor did about it is what a person should know.
_ADVISED = frozenset({"queued", "stalled", "failed", "killed", "crashed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """One stage as it stands now; `done` and `total` count `unit`s, times are Unix seconds."""

    stage: str
    state: StageState = "pending"
    attempt: int = 0
    step: int | None = None
    total: float | None = None
    done: float | None = None
    unit: str = ""
    label: str = ""
    eta_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    val_bpb: float | None = None
    val_sha256: str | None = None
    best_bpb: float | None = None
    results: Mapping[str, Mapping[str, float]] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    resumed_from: int | None = None
    num_alerts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run as it stands now; `problem` says in one line what a person should know or do.

    `position` is the place in the queue of a run that waits there, from 1. `worked_s` is how long
    its stages were at work, over all attempts, and `usd` what that costs where a price is known.
    `best_bpb` is the lowest that was measured on the validation text of `val_bpb`.
    """

    run_id: str
    slug: str
    name: str
    recipe: str
    preset: str
    state: RunState
    stage: str | None
    created_s: float
    started_s: float | None
    ended_s: float | None
    val_bpb: float | None
    val_sha256: str | None
    tags: tuple[str, ...]
    notes: tuple[str, ...]
    stages: tuple[StageView, ...]
    path: Path
    problem: str | None = None
    alerts: tuple[RunAlert, ...] = ()
    position: int | None = None
    worked_s: float | None = None
    usd: float | None = None
    best_bpb: float | None = None
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_alerts(self) -> int:
        """How many alerts there were, of the whole run and of its stages."""
        general = sum(alert.is_trouble for alert in self.alerts if alert.stage is None)
        return general + sum(stage.num_alerts for stage in self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Who is there: the supervisor, and a launch that no supervisor has confirmed yet.

    `usd_per_hour` is the price that somebody has set since the run was made.
    """

    supervisor: Liveness | None
    launch: Liveness | None
    is_withdrawn: bool = False
    usd_per_hour: float | None = None


def run_dirs(home: LabHome) -> list[Path]:
    """Return the run directories of a lab home, newest first."""
    if not home.runs_dir.is_dir():
        return []
    with os.scandir(home.runs_dir) as entries:
        named = [entry.path for entry in entries if is_ulid(entry.name[:26]) and entry.is_dir()]
    return [Path(path) for path in sorted(named, reverse=True)]


def list_runs(home: LabHome, cache: FoldCache | None = None) -> list[RunView]:
    """Return the view of every run, newest first; a poller hands in the same cache each time."""
    cache = cache or FoldCache()
    with uncollected():
        if cache.kept is None:
            cache.kept = KeptViews(home.run_views, _KEPT_FORM)
        kept: KeptViews[RunView] = cache.kept
        views = [
            kept.view(path, lambda run_dir: load_run(run_dir, cache)) for path in run_dirs(home)
        ]
    kept.save()
    return views


def load_run(run_dir: Path, cache: FoldCache | None = None) -> RunView:
    """Return the view of one run directory; a broken one has the state "unreadable"."""
    try:
        return _load(run_dir, cache or FoldCache())
    except (LabError, OSError) as error:
        return _unreadable(run_dir, str(error))


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


def _load(run_dir: Path, cache: FoldCache) -> RunView:
    paths = RunPaths(run_dir)
    record = cache.record(run_dir)
    control = cache.control(paths.control)
    facts = load_facts(run_dir, cache)
    here = presence(run_dir, control)
    place = position(paths.home, record.run_id)
    now = time.time()
    alerts = cache.alerts(paths.host)
    stages = tuple(
        _with_alerts(
            _stage_view(record, entry, facts.get(entry.stage, StageFacts()), control, here, now),
            alerts,
        )
        for entry in record.stages
    )
    state = run_state(
        RunSigns(
            stages=[view.state for view in stages],
            supervisor=here.supervisor,
            launch=here.launch,
            word=control.state,
            control_age_s=None if control.last_s is None else now - control.last_s,
            is_waiting=place is not None,
            is_withdrawn=here.is_withdrawn,
        )
    )
    labels = fold_annotations(read_log(paths.annotations), name=record.name, tags=record.tags)
    view = _run_view(run_dir, record, labels, control, here, stages, state)
    view = replace(view, alerts=alerts)
    view = _with_cost(view, record, control, here, now)
    if place is None or state != "queued":
        return view
    return replace(view, position=place, problem=_wait(paths.home, place))


def _with_alerts(view: StageView, alerts: tuple[RunAlert, ...]) -> StageView:
    own = sum(alert.is_trouble for alert in alerts if alert.stage == view.stage)
    return replace(view, num_alerts=view.num_alerts + own) if own else view


def _with_cost(
    view: RunView, record: RunRecord, control: Control, here: Presence, now: float
) -> RunView:
    if control.first_s is None:
        return view
    price = here.usd_per_hour or number(record.budget.get("usd_per_hour"))
    price = price or number(record.plan.get("usd_per_hour"))
    worked_s = control.worked.until(now if view.state in ACTIVE else None)
    usd = None if price is None else price * worked_s / 3600
    return replace(view, worked_s=worked_s, usd=usd)


def _wait(home: LabHome, place: int) -> str:
    reason = why_waiting(home) if place == 1 else None
    return f"waits: {reason}" if reason else f"waits at position {place} of the queue"


def _run_view(
    run_dir: Path,
    record: RunRecord,
    labels: Labels,
    control: Control,
    here: Presence,
    stages: tuple[StageView, ...],
    state: RunState,
) -> RunView:
    index = current_stage([view.state for view in stages])
    current = stages[-1 if index is None else index]
    measured = [view for view in stages if view.val_bpb is not None]
    ended = [view.ended_s for view in stages if view.ended_s is not None]
    return RunView(
        run_id=record.run_id,
        slug=record.slug,
        name=labels.name,
        recipe=record.recipe,
        preset=record.preset,
        state=state,
        stage=current.stage,
        created_s=record.created_s,
        started_s=control.first_s,
        ended_s=(control.state_s or max(ended, default=control.last_s)) if state in ENDED else None,
        val_bpb=measured[-1].val_bpb if measured else None,
        val_sha256=measured[-1].val_sha256 if measured else None,
        tags=labels.tags,
        notes=labels.notes,
        stages=stages,
        path=run_dir,
        problem=_problem(record, control, here, current, state),
        best_bpb=_best_bpb(measured),
        source=record.source,
    )


def _best_bpb(measured: Sequence[StageView]) -> float | None:
    """Return the lowest bits per byte on the validation text of the last evaluation."""
    found = [view.best_bpb for view in measured if view.val_sha256 == measured[-1].val_sha256]
    return min((value for value in found if value is not None), default=None)


def _stage_view(
    record: RunRecord,
    entry: StagePlan,
    facts: StageFacts,
    control: Control,
    here: Presence,
    now: float,
) -> StageView:
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


def _problem(
    record: RunRecord, control: Control, here: Presence, current: StageView, state: RunState
) -> str | None:
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


def _unreadable(run_dir: Path, problem: str) -> RunView:
    run_id, slug = run_dir.name[:26], run_dir.name[27:]
    return RunView(
        run_id=run_id,
        slug=slug,
        name=slug,
        recipe="",
        preset="",
        state="unreadable",
        stage=None,
        created_s=ulid_time_s(run_id),
        started_s=None,
        ended_s=None,
        val_bpb=None,
        val_sha256=None,
        tags=(),
        notes=(),
        stages=(),
        path=run_dir,
        problem=problem,
    )


def _freeze(view: RunView) -> dict[str, Any]:
    whole = {spec.name: getattr(view, spec.name) for spec in fields(view) if spec.name != "path"}
    return {
        **whole,
        "stages": [_unlike_new(stage) for stage in view.stages],
        "alerts": [asdict(alert) for alert in view.alerts],
    }


def _unlike_new(stage: StageView) -> dict[str, Any]:
    # What a stage has from the start need not be read a thousand times.
    return {
        spec.name: value
        for spec in fields(stage)
        if (value := getattr(stage, spec.name)) != spec.default and value != {}
    }


def _thaw(kept: dict[str, Any], run_dir: Path) -> RunView:
    # JSON knows no tuples and no paths.
    kept["stages"] = tuple([StageView(**stage) for stage in kept["stages"]])
    kept["tags"] = tuple(kept["tags"])
    kept["notes"] = tuple(kept["notes"])
    kept["alerts"] = tuple([RunAlert(**alert) for alert in kept["alerts"]])
    return RunView(**kept, path=run_dir)


_KEPT_FORM = Form(
    fields=tuple(spec.name for cls in (RunView, StageView, RunAlert) for spec in fields(cls)),
    state=lambda view: view.state,
    freeze=_freeze,
    thaw=_thaw,
)
