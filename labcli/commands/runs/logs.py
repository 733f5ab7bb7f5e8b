"""`labcli runs logs`: what the processes of a run printed."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli.following.tailing import follow_log, log_file
from labcli.options import HELP_NAMES, HomeOption, NumLines, RunArgument, home_of
from labcli.output import emit, emit_json_line
from runs.refs import resolve_run
from runs.views.query import load_run

app = typer.Typer(rich_markup_mode=None, add_completion=False)

StageOption = Annotated[
    str | None,
    typer.Option("--stage", metavar="STAGE", help="Choose a stage; default: the current one."),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Keep following until it ends.")]


@app.command(context_settings=HELP_NAMES)
def logs(
    ctx: typer.Context,
    run: RunArgument = "last",
    stage: StageOption = None,
    follow: Follow = False,
    num_lines: NumLines = 100,
    json: Annotated[bool, typer.Option("--json", help="Write each line as a JSON object.")] = False,
    home: HomeOption = None,
) -> None:
    """Print what a stage's process wrote; --stage supervisor for the supervisor's."""
    run_dir = resolve_run(home_of(ctx, home), run)
    view = load_run(run_dir)
    path = log_file(view, stage)
    for line in follow_log(run_dir, path, num_past=num_lines, should_follow=follow):
        emit_json_line({"stage": stage or view.stage, "line": line}) if json else emit(line)
