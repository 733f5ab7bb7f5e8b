"""A sweep at work: its runs created, queued, stopped, resumed, and looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.create import create_run
from runs.errors import LabError
from runs.paths import LabHome, RunPaths
from runs.scheduling.queue import enqueue
from runs.scheduling.sweep import Sweep, Variant
from runs.supervision.requests import request_stop
from runs.views.facts import FoldCache
from runs.views.query import load_run
from runs.views.run_view import RunView
from runs.views.states import ACTIVE

# What `resume` puts back into the queue; a variant that failed would most likely fail again.
RESUMED = frozenset({"stopped", "killed", "crashed", "lost", "budget"})


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantView:
    """A variant as it stands now; `run` is None where its run was never made, or is deleted."""

    variant: Variant
    run: RunView | None

    @property
    def state(self) -> str:
        """The state of its run, or "missing"."""
        return self.run.state if self.run else "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What a resume did: how many runs it made or queued, and how many it left as they were."""

    num_created: int
    num_queued: int
    num_failed: int


def variant_views(home: LabHome, sweep: Sweep, cache: FoldCache | None = None) -> list[VariantView]:
    """Return every variant of a sweep with the view of its run."""
    cache = cache or FoldCache()
    views = []
    for variant in sweep.variants:
        run_dir = run_dir_of(home, variant)
        run = None if run_dir is None else load_run(run_dir, cache)
        views.append(VariantView(variant=variant, run=run))
    return views


def run_dir_of(home: LabHome, variant: Variant) -> Path | None:
    """Return the run directory of a variant, or None when there is none."""
    return next(home.runs_dir.glob(f"{variant.same_as or variant.run_id}-*"), None)


def count_states(views: Sequence[VariantView]) -> Mapping[str, int]:
    """Return how many variants are in each state, the most frequent first."""
    return dict(Counter(view.state for view in views).most_common())


def begin(home: LabHome, sweep: Sweep) -> int:
    """Make and queue the run of every variant that has none; return how many were made."""
    num_created = 0
    for variant in sweep.variants:
        if run_dir_of(home, variant) is None and variant.same_as is None:
            _queue(create_variant(home, sweep, variant), sweep.priority, variant.plan)
            num_created += 1
    return num_created


def create_variant(home: LabHome, sweep: Sweep, variant: Variant) -> RunPaths:
    """Return the run of a variant, created and not yet started."""
    is_stage = len(variant.plan["stages"]) == 1
    return create_run(
        home,
        plan=variant.plan,
        recipe=sweep.what if is_stage else str(variant.plan["recipe"]),
        preset=sweep.preset,
        name=f"{sweep.name}-{variant.index}",
        tags=sweep.tags,
        argv=sweep.argv,
        nproc=num_ranks(variant.plan),
        parents=sweep.parents,
        inputs=sweep.inputs,
        policy=sweep.policy,
        run_id=variant.run_id,
        sweep={"id": sweep.sweep_id, "name": sweep.name, "index": variant.index},
        source=sweep.source,
        # The price alone: the limits are those of the sweep, shared by its runs.
        budget={key: sweep.budget[key] for key in ("usd_per_hour",) if key in sweep.budget},
    )


def resume(home: LabHome, sweep: Sweep, *, with_failed: bool = False) -> Resumed:
    """Queue what is not done: missing runs are made, ended ones go on from their checkpoints."""
    num_created = begin(home, sweep)
    wanted = RESUMED | ({"failed"} if with_failed else frozenset())
    num_queued = num_failed = 0
    for view in variant_views(home, sweep):
        run = view.run
        if run is None or view.variant.same_as is not None:
            continue
        num_failed += run.state == "failed" and not with_failed
        is_forgotten = run.state == "queued" and run.started_s is None and run.position is None
        if run.state in wanted or is_forgotten:
            _queue(RunPaths(run.path), sweep.priority, view.variant.plan)
            num_queued += 1
    return Resumed(num_created=num_created, num_queued=num_queued, num_failed=num_failed)


def stop(home: LabHome, sweep: Sweep, *, now: bool = False) -> tuple[int, int]:
    """Take waiting runs out of the queue and stop the others; return how many of each.

    A run that a person started before and that the sweep only refers to is left alone.
    """
    # Those that wait go first, or the end of a running one would start the next.
    views = [view for view in variant_views(home, sweep) if view.variant.same_as is None]
    views.sort(key=lambda view: view.run is None or view.run.position is None)
    num_waiting = num_running = 0
    for view in views:
        if view.run is None or view.run.state not in ACTIVE:
            continue
        try:
            request_stop(view.run.path, now=now)
        except LabError:
            # It ended in between.
            continue
        num_waiting += view.run.position is not None
        num_running += view.run.position is None
    return num_waiting, num_running


def num_ranks(plan: Mapping[str, Any]) -> int:
    """Return the ranks of a plan's widest stage."""
    return max(int(entry.get("nproc") or 1) for entry in plan["stages"])


def num_gpus(plan: Mapping[str, Any]) -> int:
    """Return how many GPUs a plan needs at once; 0 for one that runs on the CPU."""
    return num_ranks(plan) if plan.get("device") == "cuda" else 0


def _queue(paths: RunPaths, priority: int, plan: Mapping[str, Any]) -> None:
    enqueue(paths, num_gpus=num_gpus(plan), priority=priority)
