"""`labcli sweep create`: plan every combination of values, make the runs, and queue them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import typer

from core.plan_request import PlanRequest
from labcli import diagnostics
from labcli.budget_options import BudgetOptions
from labcli.commands.run import (
    DryRun,
    From,
    Name,
    Needed,
    Only,
    Preset,
    Priority,
    Retries,
    Set,
    Tag,
    Until,
    What,
)
from labcli.option_group import with_groups
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json
from labcli.sweep.axis_options import AxisOptions
from labcli.sweep.creating import NewSweep, create_sweep, with_finished
from labcli.sweep.planning import plan_variants, sweep_hardware, totals
from labcli.sweep.show import plan_object, plan_text
from runs.lineage.inputs import given_inputs, missing_inputs
from runs.scheduling.queue import check_priority
from runs.scheduling.snapshot import describe, read_source, store
from runs.scheduling.sweep import sweep_dir
from runs.settings import load_settings
from runs.supervision.policy import Policy

app = lone_command()

NumProcesses = Annotated[
    int | None, optional("--nproc", "N", "Train each run on N GPUs or ranks; default: 1.", min=1)
]


@app.command()
@with_groups
def create(
    ctx: typer.Context,
    what: What,
    from_ref: From = None,
    needed: Needed = False,
    preset: Preset = "auto",
    overrides: Set = None,
    name: Name = None,
    tags: Tag = None,
    until: Until = None,
    only: Only = None,
    nproc: NumProcesses = None,
    priority: Priority = 0,
    retries: Retries = 0,
    dry_run: DryRun = False,
    json: JsonOption = False,
    home: HomeOption = None,
    *,
    varied: AxisOptions,
    limits: BudgetOptions,
) -> None:
    """Run every combination of values: each is a run of its own, and they wait in one queue.

    Nothing starts before every variant has been planned.
    """
    variants = varied.expand()
    lab = home_of(ctx, home)
    hardware = sweep_hardware(nproc)
    request = PlanRequest(
        what=what,
        preset=preset,
        overrides=tuple(overrides or ()),
        only=only,
        until=until,
        nproc=nproc or 1,
    )
    planned = plan_variants(request, variants, hardware)
    new = NewSweep(
        request=request,
        from_ref=from_ref,
        name=name,
        tags=tuple(tags or ()),
        priority=check_priority(priority),
        policy=Policy(retries=retries),
        budget=limits.budget(planned[0].plan.usd_per_hour).to_json(),
    )
    if from_ref is not None or not missing_inputs(planned[0].body) or not dry_run:
        inputs, _ = given_inputs(lab, planned[0].body, from_ref)
        planned = with_finished(lab, planned, inputs) if needed else planned
    num_at_once = load_settings(lab, os.environ).queue.max_runs
    sums = totals(planned, num_at_once, usd_per_hour=limits.usd_per_hour)
    source = read_source(lab)
    text = plan_text(planned, sums, code=describe(source.to_json()))
    if dry_run:
        emit_json(plan_object(planned, sums)) if json else emit(text)
        return
    diagnostics.say(text)
    sweep = create_sweep(lab, replace(new, source=store(lab, source)), planned)
    diagnostics.say(f"\nqueued; see: labcli sweep status {sweep.slug}")
    path = str(sweep_dir(lab, sweep))
    body = {"sweep_id": sweep.sweep_id, "slug": sweep.slug, "path": path}
    emit_json(body) if json else emit(sweep.slug)
