"""`labcli run`: plan a recipe or a stage, create the run, start its supervisor, watch it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from core.plan import Plan
from core.planning.request import PlanRequest
from labcli import diagnostics
from labcli.flags.budget import BudgetOptions
from labcli.flags.group import with_groups
from labcli.following.attached import detached_hints, open_dashboard, watch_to_end
from labcli.following.watch import Watch
from labcli.launching.new_run import Terms, machine_of, make_plan, start_run
from labcli.launching.plans import plan_text
from labcli.options import HomeOption, JsonOption, home_of
from labcli.output import emit, emit_json, stdout_columns
from labcli.sweep.creating import NewSweep
from labcli.sweep.offer import Offered, offer_sweep
from labcli.sweep.series import has_series, series_of
from runs.errors import ExitCode, UsageError
from runs.labels import add_note, check_note, check_tag
from runs.lineage.inputs import given_inputs
from runs.paths import LabHome, RunPaths
from runs.scheduling.budget import Budget
from runs.scheduling.queue import check_priority
from runs.scheduling.reuse import find_finished
from runs.scheduling.snapshot import describe, read_source, store
from runs.supervision.policy import OnStall, Policy
from runs.views.query import load_run

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
    str,
    typer.Option(
        metavar="NAME",
        help="Use the settings for this kind of machine, such as cpu, gpu-24g or 8xh100; "
        "a name that is none lists them.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Change a setting; may be repeated."),
]
Seed = Annotated[
    int | None, typer.Option(metavar="N", help="Draw everything random from this seed.")
]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="Give the run a name.")]
Tag = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TEXT", help="Tag the run; may be repeated.")
]
Note = Annotated[str | None, typer.Option(metavar="TEXT", help="Add a note to the run.")]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """Whether a run starts at all, and whether at once."""

    needed: Needed = False
    queue: Queue = False
    priority: Priority = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOptions:
    """What the run is called, and what is noted beside it."""

    name: Name = None
    tags: Tag = None
    note: Note = None

    def check(self) -> None:
        """Raise UsageError for what cannot be a tag or a note, before anything is started."""
        for tag in self.tags or ():
            check_tag(tag)
        if self.note is not None:
            check_note(self.note)


@app.command(context_settings={"help_option_names": ["-h", "--help"]})
@with_groups
def run(
    ctx: typer.Context,
    what: What,
    from_ref: From = None,
    preset: Preset = "auto",
    overrides: Set = None,
    seed: Seed = None,
    until: Until = None,
    only: Only = None,
    detach: Detach = False,
    tui: Tui = False,
    nproc: NumProcesses = None,
    retries: Retries = 0,
    on_stall: StallChoice = "wait",
    dry_run: DryRun = False,
    json: JsonOption = False,
    home: HomeOption = None,
    *,
    labels: LabelOptions,
    waiting: QueueOptions,
    limits: BudgetOptions,
) -> None:
    """Train: run a recipe, or one stage of it as a run of its own.

    A recipe that stands for several runs (miniseries, scaling) puts them all into the queue.

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
        seed=seed,
    )
    policy = Policy(retries=retries, on_stall=on_stall)
    labels.check()
    lab = home_of(ctx, home)
    machine = machine_of(lab)
    if has_series(what):
        new = _new_sweep(request, from_ref, labels, waiting, policy, tui=tui)
        offered = Offered(is_needed=waiting.needed, is_dry=dry_run, json=json)
        return offer_sweep(lab, new, series_of(what), machine, limits, offered)
    plan = make_plan(request, machine).at_price(limits.usd_per_hour)
    budget = limits.budget(plan.usd_per_hour)
    if tui and (waiting.queue or not sys.stdout.isatty()):
        raise UsageError("--tui needs a terminal, and no --queue; use --detach, then labcli tui")
    if dry_run:
        if from_ref is not None:
            given_inputs(lab, plan.to_json(), from_ref)
        return _show(lab, plan, is_queued=waiting.queue, json=json)
    same = find_finished(lab, plan.to_json(), from_ref) if waiting.needed else None
    if same is not None:
        diagnostics.say(f"done already by {same.slug}, which has finished; nothing was started")
        return _name(RunPaths(same.path), json=json)
    terms = _terms(lab, policy, budget, waiting)
    paths = start_run(
        lab, request, plan, from_ref=from_ref, name=labels.name, tags=labels.tags or (), terms=terms
    )
    if labels.note is not None:
        add_note(paths.run_dir, labels.note)
    diagnostics.say(plan.headline())
    raise typer.Exit(_attend(lab, paths, detach=detach or waiting.queue, tui=tui, json=json))


def _new_sweep(
    request: PlanRequest,
    from_ref: str | None,
    labels: LabelOptions,
    waiting: QueueOptions,
    policy: Policy,
    *,
    tui: bool,
) -> NewSweep:
    """Return the sweep that a recipe of several runs becomes."""
    if tui or labels.note is not None:
        raise UsageError(f"{request.what} stands for several runs; --tui and --note are for one")
    return NewSweep(
        request=request,
        from_ref=from_ref,
        name=labels.name,
        tags=tuple(labels.tags or ()),
        priority=check_priority(waiting.priority),
        policy=policy,
    )


def _terms(lab: LabHome, policy: Policy, budget: Budget, waiting: QueueOptions) -> Terms:
    return Terms(
        policy=policy,
        budget=budget.to_json(),
        source=store(lab, read_source(lab)) if waiting.queue else {},
        priority=check_priority(waiting.priority) if waiting.queue else None,
    )


def _show(home: LabHome, plan: Plan, *, is_queued: bool, json: bool) -> None:
    """Write the plan, and the code that it would be queued with."""
    source = read_source(home).to_json() if is_queued else {}
    if json:
        emit_json({**plan.to_json(), "source": source})
    else:
        code = f"\ncode       {describe(source)}" if is_queued else ""
        emit(plan_text(plan.to_json(), plan.headline() + code, width=stdout_columns()))


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
