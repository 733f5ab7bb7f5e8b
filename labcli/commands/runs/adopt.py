"""`labcli runs adopt`: a new supervisor for a worker that lost its own."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli.following.attached import go_on
from labcli.options import HELP_NAMES, HomeOption, JsonOption, RunArgument, home_of
from runs.refs import resolve_run
from runs.supervision.requests import adopt as adopt_run

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Detach = Annotated[bool, typer.Option("--detach", help="Leave the run in the background.")]


@app.command(context_settings=HELP_NAMES)
def adopt(
    ctx: typer.Context,
    run: RunArgument,
    detach: Detach = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Take over a run whose supervisor died, and watch it.

    The worker goes on untouched, and the later stages follow as planned.
    """
    run_dir = resolve_run(home_of(ctx, home), run)
    raise typer.Exit(go_on(run_dir, adopt_run, detach=detach, json=json))
