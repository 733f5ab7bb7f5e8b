"""`labcli runs note`: write down what a person knows about a run."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli.options import HomeOption, JsonOption, RunArgument, home_of, lone_command
from labcli.output import emit, emit_json
from labcli.shown.labels import labels_object
from runs.labels import add_note
from runs.refs import resolve_run
from runs.views.query import load_run

app = lone_command()

Text = Annotated[
    str | None,
    typer.Argument(metavar="TEXT", help="The note, in quotes; none: show the notes so far."),
]


@app.command()
def note(
    ctx: typer.Context,
    run: RunArgument,
    text: Text = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Add a note to a run, and show all of its notes, the oldest first."""
    run_dir = resolve_run(home_of(ctx, home), run)
    if text is not None:
        add_note(run_dir, text)
    view = load_run(run_dir)
    emit_json(labels_object(view)) if json else emit("\n".join(view.notes))
