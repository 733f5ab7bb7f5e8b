"""`labcli runs lineage`: what a run was made from, and what was made from it."""

from __future__ import annotations

import shutil
from typing import Annotated

import typer

from labcli.options import HELP_NAMES, HomeOption, JsonOption, RunArgument, home_of
from labcli.output import emit, emit_json
from labcli.shown.lineage import lineage_object, lineage_text
from runs.lineage.graph import lineage_of
from runs.refs import resolve_run

# Where stdout is no terminal, nothing has to fit.
PIPE_COLUMNS = 200

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Verify = Annotated[
    bool, typer.Option("--verify", help="Hash every file, not only the list of a directory's.")
]


@app.command(context_settings=HELP_NAMES)
def lineage(
    ctx: typer.Context,
    run: RunArgument = "last",
    verify: Verify = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Draw which stage made what out of what, with hashes and sizes.

    Stages of other runs are shown where this run was made from them, or they from it. A stage is
    stale when something it was made from is gone, has changed, or was made again since.
    """
    lab = home_of(ctx, home)
    found = lineage_of(lab, resolve_run(lab, run), deep=verify)
    if json:
        emit_json(lineage_object(found))
    else:
        columns = shutil.get_terminal_size((PIPE_COLUMNS, 24)).columns
        emit(lineage_text(found, width=columns))
