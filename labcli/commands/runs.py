"""`labcli runs`: list, inspect, follow, stop and resume runs."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
from labcli.attached import detached_hints, watch_to_end
from labcli.lazy import Group
from labcli.narrate import event_object, tail_line
from labcli.options import (
    CsvOption,
    HomeOption,
    JsonlOption,
    JsonOption,
    RunArgument,
    TableOption,
    home_of,
    pick_format,
)
from labcli.output import emit, emit_json, emit_json_line, emit_rows
from labcli.tailing import follow_events, follow_log, log_file
from labcli.views import LIST_COLUMNS, list_row, list_table, show_object, show_text
from labcli.watch import Watch, wait_for_end
from runs.query import list_runs, load_run
from runs.record import load_record
from runs.refs import resolve_run
from runs.requests import request_stop
from runs.requests import resume as resume_run
from runs.store import reindex as rebuild_registry

HELP_NAMES = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    add_completion=False,
    help="List, inspect, follow, stop and resume runs.",
    context_settings=HELP_NAMES,
)

NumLines = Annotated[
    int, typer.Option("-n", "--lines", min=0, metavar="N", help="Show this many past lines.")
]
StageOption = Annotated[
    str | None,
    typer.Option("--stage", metavar="STAGE", help="Choose a stage; default: the current one."),
]
Detach = Annotated[bool, typer.Option("--detach", help="Leave the run in the background.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Keep following until it ends.")]


@app.command("list", context_settings=HELP_NAMES)
def list_(
    ctx: typer.Context,
    json: JsonOption = False,
    jsonl: JsonlOption = False,
    csv: CsvOption = False,
    table: TableOption = False,
    home: HomeOption = None,
) -> None:
    """List every run, newest first."""
    form = pick_format(json=json, jsonl=jsonl, csv=csv, table=table)
    views = list_runs(home_of(ctx, home))
    rows = [list_row(view) for view in views]
    emit_rows(rows, form, table=list_table(views), columns=LIST_COLUMNS)


@app.command(context_settings=HELP_NAMES)
def show(
    ctx: typer.Context, run: RunArgument, json: JsonOption = False, home: HomeOption = None
) -> None:
    """Show one run: its stages, times, validation figures and skills."""
    run_dir = resolve_run(home_of(ctx, home), run)
    view = load_run(run_dir)
    if json:
        emit_json(show_object(view, load_record(run_dir)))
    else:
        emit(show_text(view))


@app.command(context_settings=HELP_NAMES)
def tail(
    ctx: typer.Context,
    run: RunArgument = "last",
    num_lines: NumLines = 10,
    json: Annotated[bool, typer.Option("--json", help="Write each event as a JSON line.")] = False,
    home: HomeOption = None,
) -> None:
    """Follow the events of a run until it ends."""
    run_dir = resolve_run(home_of(ctx, home), run)
    for item in follow_events(run_dir, num_past=num_lines):
        if json:
            emit_json_line(event_object(item))
        elif item.record.kind != "heartbeat":
            emit(tail_line(item))


@app.command(context_settings=HELP_NAMES)
def logs(
    ctx: typer.Context,
    run: RunArgument = "last",
    stage: StageOption = None,
    follow: Follow = False,
    num_lines: NumLines = 100,
    home: HomeOption = None,
) -> None:
    """Print what a stage's process wrote; --stage supervisor for the supervisor's."""
    run_dir = resolve_run(home_of(ctx, home), run)
    path = log_file(load_run(run_dir), stage)
    for line in follow_log(run_dir, path, num_past=num_lines, should_follow=follow):
        emit(line)


@app.command(context_settings=HELP_NAMES)
def stop(
    ctx: typer.Context,
    run: RunArgument,
    now: Annotated[bool, typer.Option("--now", help="Kill it instead of waiting.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it has stopped.")] = False,
    home: HomeOption = None,
) -> None:
    """Stop a run after it has written a checkpoint."""
    run_dir = resolve_run(home_of(ctx, home), run)
    request_stop(run_dir, now=now)
    slug = load_run(run_dir).slug
    diagnostics.say(f"{slug} is stopping; to go on: labcli runs resume {slug}")
    if wait:
        diagnostics.say(f"{slug} {wait_for_end(run_dir).state}")


@app.command(context_settings=HELP_NAMES)
def resume(
    ctx: typer.Context, run: RunArgument, detach: Detach = False, home: HomeOption = None
) -> None:
    """Continue a run from its newest checkpoint, and watch it."""
    run_dir = resolve_run(home_of(ctx, home), run)
    watch = Watch(run_dir, skip_past=True)
    resume_run(run_dir)
    view = load_run(run_dir)
    if detach:
        for line in detached_hints(view.slug):
            diagnostics.say(line)
        emit(view.slug)
        return
    code = watch_to_end(watch)
    emit(view.slug)
    raise typer.Exit(code)


@app.command(context_settings=HELP_NAMES)
def reindex(ctx: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """Rebuild the registry from the run directories."""
    lab = home_of(ctx, home)
    num_runs = rebuild_registry(lab)
    if json:
        emit_json({"num_runs": num_runs, "path": str(lab.registry)})
    else:
        emit(f"indexed {num_runs} runs in {lab.registry}")
