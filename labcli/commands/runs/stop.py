"""`labcli runs stop`: end a run after a checkpoint, or at once."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
from labcli.following.attached import state_object
from labcli.following.watch import wait_for_end
from labcli.options import HELP_NAMES, HomeOption, JsonOption, RunArgument, home_of
from labcli.output import emit_json
from runs.refs import resolve_run
from runs.supervision.requests import request_stop
from runs.views.query import load_run

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(context_settings=HELP_NAMES)
def stop(
    ctx: typer.Context,
    run: RunArgument,
    now: Annotated[bool, typer.Option("--now", help="Kill it instead of waiting.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it has stopped.")] = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Stop a run after it has written a checkpoint."""
    run_dir = resolve_run(home_of(ctx, home), run)
    request_stop(run_dir, now=now)
    slug = load_run(run_dir).slug
    diagnostics.say(f"{slug} is stopping; to go on: labcli runs resume {slug}")
    if wait:
        diagnostics.say(f"{slug} {wait_for_end(run_dir).state}")
    if json:
        emit_json(state_object(load_run(run_dir)))
