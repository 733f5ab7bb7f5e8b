"""`labcli sweep resume`: queue again what ended early, and make what was never made."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
from labcli.flags.budget import BudgetOptions
from labcli.flags.group import with_groups
from labcli.options import HomeOption, home_of, lone_command
from labcli.output import emit
from labcli.sweep.options import SweepArgument, start_queue
from runs.errors import UsageError
from runs.scheduling.budget import REQUESTS, raise_budget, sweep_budget, sweep_worked_s
from runs.scheduling.sweep import resolve_sweep, sweep_dir
from runs.scheduling.sweeping import resume as resume_sweep

app = lone_command()


@app.command()
@with_groups
def resume(
    ctx: typer.Context,
    sweep: SweepArgument,
    failed: Annotated[
        bool, typer.Option("--failed", help="Try runs that failed with an error again, too.")
    ] = False,
    home: HomeOption = None,
    *,
    limits: BudgetOptions,
) -> None:
    """Go on with a sweep after a stop, a crash or a reboot; each run from its checkpoint."""
    lab = home_of(ctx, home)
    found = resolve_sweep(lab, sweep)
    if limits.is_given:
        new = limits.budget(sweep_budget(lab, found).usd_per_hour)
        raise_budget(
            sweep_dir(lab, found) / REQUESTS, sweep_budget(lab, found), new,
            sweep_worked_s(lab, found),
        )  # fmt: skip
    done = resume_sweep(lab, found, with_failed=failed)
    is_started = start_queue(lab)
    if done.num_failed:
        diagnostics.say(f"{done.num_failed} failed; to try them again: --failed")
    if limits.is_given:
        diagnostics.say("the new budget holds for every run that starts from now on")
    if not (done.num_created or done.num_queued or is_started or limits.is_given):
        raise UsageError(f"{found.name} has nothing to resume; see: labcli sweep status")
    if done.num_created or done.num_queued:
        diagnostics.say(f"{found.name}: {done.num_queued} queued again, {done.num_created} made")
    emit(found.slug)
