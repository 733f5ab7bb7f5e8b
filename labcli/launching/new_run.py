"""From a command line to a running run: the plan, its inputs, its directory, its supervisor."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.hardware import Hardware, detect
from core.plan import Plan
from core.planning.request import PlanRequest, plan_for, recipe_of
from labcli.launching.preflight import absolute_corpus, check_assets
from runs.create import create_run
from runs.launch.local import launch
from runs.lineage.inputs import given_inputs
from runs.paths import LabHome, RunPaths
from runs.recipe import list_recipes, load_recipe
from runs.scheduling.queue import check_priority, enqueue
from runs.scheduling.queue_runner import ensure_runner
from runs.scheduling.sweeping import num_gpus
from runs.settings import load_settings
from runs.supervision.policy import Policy


def machine_of(home: LabHome) -> Hardware:
    """Return this machine's hardware, with the lab home's disk and the cards of its settings."""
    hardware = detect(load_settings(home, os.environ).hardware)
    return replace(hardware, disk_free_bytes=home.disk_free_bytes)


def make_plan(request: PlanRequest, hardware: Hardware) -> Plan:
    """Return the plan of a recipe, a recipe file or a single stage."""
    recipe = load_recipe(recipe_of(request.what, list_recipes()))
    told = replace(request, overrides=absolute_corpus(request.overrides))
    return plan_for(told, recipe, hardware)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms a run runs; with a `priority` it waits in the queue, else it starts at once."""

    policy: Policy = field(default_factory=Policy)
    budget: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    priority: int | None = None


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
    check_assets(home, plan)
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
