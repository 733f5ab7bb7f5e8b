"""`labcli runs show`: one run and its figures."""

from __future__ import annotations

import typer

from labcli.options import HELP_NAMES, HomeOption, JsonOption, RunArgument, home_of
from labcli.output import emit, emit_json
from labcli.shown.runs import show_object, show_text
from runs.record import load_record
from runs.refs import resolve_run
from runs.views.query import load_run

app = typer.Typer(rich_markup_mode=None, add_completion=False)


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
