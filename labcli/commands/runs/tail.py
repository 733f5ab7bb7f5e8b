"""`labcli runs tail`: the events of a run as they come."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli.narrate import event_object, tail_line
from labcli.options import HomeOption, NumLines, RunArgument, home_of
from labcli.output import emit, emit_json_line
from labcli.tailing import follow_events
from runs.refs import resolve_run

HELP_NAMES = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(rich_markup_mode=None, add_completion=False)


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
