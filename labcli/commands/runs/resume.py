"""`labcli runs resume`: go on from the newest checkpoint."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from core.hardware import nvidia_gpus
from labcli.flags.budget import BudgetOptions
from labcli.flags.group import with_groups
from labcli.following.attached import go_on
from labcli.launching.resuming import check_gpus, check_ranks
from labcli.options import HELP_NAMES, HomeOption, JsonOption, RunArgument, home_of, optional
from runs.paths import RunPaths
from runs.record import load_record
from runs.refs import resolve_run
from runs.scheduling.budget import raise_budget, run_budget
from runs.supervision.ranks import with_ranks
from runs.supervision.requests import resume as resume_run
from runs.views.cost import worked_s
from runs.views.query import load_run

NumProcesses = Annotated[
    int | None,
    optional("--nproc", "N", "Train on N ranks from here on; default: as before.", min=1),
]
app = typer.Typer(rich_markup_mode=None, add_completion=False)

Detach = Annotated[bool, typer.Option("--detach", help="Leave the run in the background.")]


@app.command(context_settings=HELP_NAMES)
@with_groups
def resume(
    ctx: typer.Context,
    run: RunArgument,
    detach: Detach = False,
    nproc: NumProcesses = None,
    json: JsonOption = False,
    home: HomeOption = None,
    *,
    limits: BudgetOptions,
) -> None:
    """Continue a run from its newest checkpoint, and watch it."""
    run_dir = resolve_run(home_of(ctx, home), run)
    # That a finished run cannot be resumed is for resuming to say, on any number of ranks.
    if (view := load_run(run_dir)).state != "finished":
        record = with_ranks(run_dir, load_record(run_dir))
        done = [stage.stage for stage in view.stages if stage.state == "finished"]
        if nproc is not None:
            check_ranks(record, nproc, done=done)
        check_gpus(record, len(nvidia_gpus()), nproc=nproc, done=done)
    if limits.is_given:
        record = load_record(run_dir)
        now = run_budget(run_dir, record)
        new = limits.budget(now.usd_per_hour or record.plan.get("usd_per_hour"))
        raise_budget(RunPaths(run_dir).requests, now, new, worked_s(run_dir))
    raise typer.Exit(go_on(run_dir, partial(resume_run, nproc=nproc), detach=detach, json=json))
