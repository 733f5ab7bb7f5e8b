"""From a command line to a running run: the plan, its inputs, its directory, its supervisor."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.config import EXPERIMENT_CONFIGS, STAGE_CONFIGS
from core.hardware import Hardware, detect
from core.plan import Plan, resolve
from runs.create import create_run
from runs.errors import UsageError, nearest
from runs.launch.local import launch
from runs.lineage import missing_inputs, resolve_inputs
from runs.paths import LabHome, RunPaths
from runs.policy import Policy
from runs.query import RunView
from runs.queue import check_priority, enqueue
from runs.queue_runner import ensure_runner
from runs.recipe import list_recipes, load_recipe
from runs.reuse import finished_work, work_hash
from runs.sweeping import num_gpus

STAGES_RECIPE = "speedrun"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What `labcli run` was asked to plan; without `nproc`, one rank per GPU."""

    what: str
    preset: str = "auto"
    overrides: tuple[str, ...] = ()
    only: str | None = None
    until: str | None = None
    nproc: int | None = None

    @property
    def is_stage(self) -> bool:
        """Whether a single stage was named, not a recipe."""
        return self.what in STAGE_CONFIGS


def make_plan(request: PlanRequest, hardware: Hardware | None = None) -> Plan:
    """Return the plan of a recipe, a recipe file or a single stage; by default for this machine."""
    only = request.only
    if request.is_stage:
        if request.only or request.until:
            raise UsageError(f"{request.what} is one stage; --only and --until are for recipes")
        only = request.what
    return resolve(
        load_recipe(STAGES_RECIPE) if request.is_stage else _recipe(request.what),
        preset=request.preset,
        overrides=request.overrides,
        hardware=hardware or detect(),
        only=only,
        until=request.until,
        nproc=request.nproc,
    )


def _recipe(what: str) -> Mapping[str, Any]:
    if what in EXPERIMENT_CONFIGS:
        raise UsageError(f"{what} is a command of its own; see: labcli {what} --help")
    is_file = "/" in what or what.endswith(".toml")
    if not is_file and what not in list_recipes():
        known = [*list_recipes(), *STAGE_CONFIGS]
        raise UsageError(f"no recipe or stage is called {what!r}{nearest(what, known)}")
    return load_recipe(what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms a run runs; with a `priority` it waits in the queue, else it starts at once."""

    policy: Policy = field(default_factory=Policy)
    budget: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    priority: int | None = None


def find_finished(home: LabHome, plan: Plan, from_ref: str | None) -> RunView | None:
    """Return the newest finished run that did what a plan would do, or None."""
    body = plan.to_json()
    inputs, _ = given_inputs(home, body, from_ref)
    work = work_hash(body, inputs)
    return finished_work(home, frozenset([work])).get(work)


def start_run(
    home: LabHome,
    request: PlanRequest,
    plan: Plan,
    *,
    from_ref: str | None,
    name: str | None,
    tags: Sequence[str],
    terms: Terms,
) -> RunPaths:
    """Create the run directory of a plan, start or queue it, and return the paths."""
    body = plan.to_json()
    inputs, parents = given_inputs(home, body, from_ref)
    paths = create_run(
        home,
        plan=body,
        recipe=request.what if request.is_stage else plan.recipe,
        preset=plan.preset,
        name=name,
        tags=tags,
        argv=sys.argv,
        nproc=max(stage.nproc for stage in plan.stages),
        parents=parents,
        inputs=inputs,
        policy=terms.policy,
        budget=terms.budget,
        source=terms.source,
    )
    if terms.priority is None:
        launch(paths)
    else:
        enqueue(paths, num_gpus=num_gpus(body), priority=check_priority(terms.priority))
        ensure_runner(home)
    return paths


def given_inputs(
    home: LabHome, plan: Mapping[str, Any], from_ref: str | None
) -> tuple[Mapping[str, Mapping[str, str]], Sequence[str]]:
    """Return what a plan takes from other runs, and these runs; UsageError without a reference."""
    missing = missing_inputs(plan)
    if from_ref is None:
        if not missing:
            return {}, ()
        names = ", ".join(f"{name} (from {producer})" for name, producer in missing.items())
        raise UsageError(
            f"this plan needs {names}; name a run that has it: --from last, or --from RUN:STAGE"
        )
    return resolve_inputs(home, plan, from_ref)
