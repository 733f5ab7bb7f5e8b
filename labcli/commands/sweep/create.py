"""`labcli sweep create`: plan every combination of values, make the runs, and queue them."""

from __future__ import annotations

from typing import Annotated

import typer

from core.planning.request import PlanRequest
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
from labcli.flags.budget import BudgetOptions
from labcli.flags.group import with_groups
from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.sweep.axis_options import AxisOptions
from labcli.sweep.creating import NewSweep
from labcli.sweep.offer import Offered, offer_sweep
from labcli.sweep.planning import sweep_hardware
from runs.scheduling.queue import check_priority
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
    request = PlanRequest(
        what=what,
        preset=preset,
        overrides=tuple(overrides or ()),
        only=only,
        until=until,
        nproc=nproc or 1,
    )
    new = NewSweep(
        request=request,
        from_ref=from_ref,
        name=name,
        tags=tuple(tags or ()),
        priority=check_priority(priority),
        policy=Policy(retries=retries),
    )
    offered = Offered(is_needed=needed, is_dry=dry_run, json=json)
    offer_sweep(lab, new, variants, sweep_hardware(lab, nproc), limits, offered)
