"""`labcli runs rename`: give a run another name."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, RunArgument, home_of, lone_command
from labcli.output import emit, emit_json
from labcli.shown.labels import labels_object
from runs.labels import rename as rename_run
from runs.refs import resolve_run
from runs.views.query import list_runs, load_run

app = lone_command()

Name = Annotated[str, typer.Argument(metavar="NAME", help="The new name.", show_default=False)]


@app.command()
def rename(
    ctx: typer.Context,
    run: RunArgument,
    name: Name,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Give a run another name; its id and its slug stay and still find it."""
    lab = home_of(ctx, home)
    run_dir = resolve_run(lab, run)
    rename_run(run_dir, name)
    view = load_run(run_dir)
    same = [other.slug for other in list_runs(lab) if other.name == name and other != view]
    if same:
        diagnostics.say(f"{', '.join(same)} has this name too; use slugs to tell them apart")
    emit_json(labels_object(view)) if json else emit(f"{view.slug} ({view.name})")
