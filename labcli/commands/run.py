"""`labcli run`: plan a recipe or a stage, create the run, start its supervisor, watch it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.attached import detached_hints, open_dashboard, watch_to_end
from labcli.budget_options import BudgetOptions
from labcli.launching import PlanRequest, Terms, find_finished, make_plan, start_run
from labcli.option_group import with_groups
from labcli.options import HomeOption, JsonOption, home_of
from labcli.output import emit, emit_json
from labcli.plans import plan_text
from labcli.watch import Watch
from runs.errors import ExitCode, UsageError
from runs.paths import LabHome, RunPaths
from runs.policy import OnStall, Policy
from runs.query import load_run
from runs.queue import check_priority
from runs.snapshot import describe, read_source, store

app = typer.Typer(rich_markup_mode=None, add_completion=False)

What = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE|STAGE",
        help="Name a recipe, a recipe file, or one stage.",
        show_default=False,
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="REF", help="Take missing inputs from this run: RUN[:STAGE][@STEP]."
    ),
]
Preset = Annotated[
    str, typer.Option(metavar="NAME", help="Use the settings for this kind of machine.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Change a setting; may be repeated."),
]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="Give the run a name.")]
Tag = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TEXT", help="Tag the run; may be repeated.")
]
Until = Annotated[str | None, typer.Option(metavar="STAGE", help="End after this stage.")]
Only = Annotated[str | None, typer.Option(metavar="STAGE", help="Run this stage alone.")]
Detach = Annotated[bool, typer.Option("--detach", help="Leave the run in the background.")]
Tui = Annotated[bool, typer.Option("--tui", help="Open the dashboard instead of narrating.")]
NumProcesses = Annotated[
    int | None,
    typer.Option("--nproc", metavar="N", min=1, help="Train on N ranks; default: one per GPU."),
]
Retries = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help="Restart a stage that crashes, at most N times; bad input is never retried.",
    ),
]
StallChoice = Annotated[
    OnStall,
    typer.Option("--on-stall", help="What to do with a stage that hangs, after its autopsy."),
]
Needed = Annotated[
    bool, typer.Option("--needed", help="Start nothing that a finished run has done already.")
]
Queue = Annotated[bool, typer.Option("--queue", help="Wait for a free place, in the background.")]
Priority = Annotated[
    int, typer.Option("--priority", metavar="P", help="Start before runs of a lower one.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and start nothing.")]


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
@with_groups
def run(
    ctx: typer.Context,
    what: What,
    from_ref: From = None,
    preset: Preset = "auto",
    overrides: Set = None,
    name: Name = None,
    tags: Tag = None,
    until: Until = None,
    only: Only = None,
    detach: Detach = False,
    tui: Tui = False,
    nproc: NumProcesses = None,
    retries: Retries = 0,
    on_stall: StallChoice = "wait",
    needed: Needed = False,
    queue: Queue = False,
    priority: Priority = 0,
    dry_run: DryRun = False,
    json: JsonOption = False,
    home: HomeOption = None,
    *,
    limits: BudgetOptions,
) -> None:
    """Train: run a recipe, or one stage of it as a run of its own.

    The run belongs to a process in the background; this command only watches it. Ctrl-C asks
    whether to detach, to stop after a checkpoint, or to keep watching.
    """
    request = PlanRequest(
        what=what,
        preset=preset,
        overrides=tuple(overrides or ()),
        only=only,
        until=until,
        nproc=nproc,
    )
    policy = Policy(retries=retries, on_stall=on_stall)
    plan = make_plan(request)
    budget = limits.budget(plan.usd_per_hour)
    if dry_run:
        body = plan.to_json()
        source = read_source(home_of(ctx, home)).to_json() if queue else {}
        code = f"\ncode       {describe(source)}" if queue else ""
        emit_json({**body, "source": source}) if json else emit(
            plan_text(body, plan.headline() + code)
        )
        return
    if queue and tui:
        raise UsageError("a queued run waits in the background; leave out --tui")
    if tui and not sys.stdout.isatty():
        raise UsageError("--tui needs a terminal; use --detach, then labcli tui dashboard")
    lab = home_of(ctx, home)
    same = find_finished(lab, plan, from_ref) if needed else None
    if same is not None:
        diagnostics.say(f"done already by {same.slug}, which has finished; nothing was started")
        _name(RunPaths(same.path), json=json)
        return
    terms = Terms(
        policy=policy,
        budget=budget.to_json(),
        source=store(lab, read_source(lab)) if queue else {},
        priority=check_priority(priority) if queue else None,
    )
    paths = start_run(
        lab, request, plan, from_ref=from_ref, name=name, tags=tags or (), terms=terms
    )
    diagnostics.say(plan.headline())
    raise typer.Exit(_attend(lab, paths, detach=detach or queue, tui=tui, json=json))


def _attend(lab: LabHome, paths: RunPaths, *, detach: bool, tui: bool, json: bool) -> int:
    """Watch the run, or leave it alone, and write its name to stdout."""
    view = load_run(paths.run_dir)
    diagnostics.say(f"run {view.slug} in {paths.run_dir}")
    code: int = ExitCode.OK
    if tui:
        code = open_dashboard(lab, view.run_id)
    elif detach:
        if view.position is not None:
            diagnostics.say(f"{view.slug} {view.problem}")
        for line in detached_hints(view.slug):
            diagnostics.say(line)
    else:
        code = watch_to_end(Watch(paths.run_dir))
    _name(paths, json=json)
    return code


def _name(paths: RunPaths, *, json: bool) -> None:
    run_id, slug = paths.run_dir.name[:26], paths.run_dir.name[27:]
    if json:
        emit_json({"run_id": run_id, "slug": slug, "path": str(paths.run_dir)})
    else:
        emit(slug)
