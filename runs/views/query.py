"""What a run looks like from outside: views folded from its files, never from the registry."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runs.alerting.host_alerts import RunAlert
from runs.errors import LabError
from runs.events import number
from runs.ids import is_ulid, ulid_time_s
from runs.labels import Labels, fold_annotations
from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.record import RunRecord
from runs.registry.collecting import uncollected
from runs.scheduling.queue import position, why_waiting
from runs.supervision.control import Control
from runs.views.facts import FoldCache, load_facts
from runs.views.fold import StageFacts
from runs.views.kept_form import KEPT_FORM
from runs.views.kept_views import KeptViews
from runs.views.presence import Presence, presence
from runs.views.problem import problem_of
from runs.views.run_view import RunView, StageView
from runs.views.stage_view import stage_view
from runs.views.states import ACTIVE, ENDED, RunSigns, RunState, current_stage, run_state


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
            cache.kept = KeptViews(home.run_views, KEPT_FORM)
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
            stage_view(record, entry, facts.get(entry.stage, StageFacts()), control, here, now),
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
    view = _run_view(run_dir, record, labels, control, here, stages, state, alerts)
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
    alerts: tuple[RunAlert, ...],
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
        alerts=alerts,
        path=run_dir,
        problem=problem_of(record, control, here, current, state, alerts),
        best_bpb=_best_bpb(measured),
        source=record.source,
    )


def _best_bpb(measured: Sequence[StageView]) -> float | None:
    """Return the lowest bits per byte on the validation text of the last evaluation."""
    found = [view.best_bpb for view in measured if view.val_sha256 == measured[-1].val_sha256]
    return min((value for value in found if value is not None), default=None)


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
