"""`labcli runs diff`: the settings, inputs, code and environment in which runs differ."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli.analysis.diffs import diff_object, diff_text
from labcli.analysis.naming import load_several, table_width
from labcli.options import HELP_NAMES, HomeOption, JsonOption, RunsArgument, home_of
from labcli.output import emit, emit_json
from runs.analysis.diff import code_change, config_changes, data_changes, environment_changes
from tui.analysis.words import names_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Code = Annotated[bool, typer.Option("--code", help="Print the code's differences line by line.")]


@app.command(context_settings=HELP_NAMES)
def diff(
    ctx: typer.Context,
    runs: RunsArgument,
    code: Code = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show where runs differ: settings, data, code, environment; nothing that is the same.

    Code is compared with that of the first run: the commits, where this checkout has both, and
    what each working tree held beyond its commit.
    """
    cards = load_several(home_of(ctx, home), runs, least=2, command="diff")
    parts = {
        "config": config_changes(cards),
        "data": data_changes(cards),
        "environment": environment_changes(cards),
    }
    changes = [code_change(cards[0], card) for card in cards[1:]]
    if json:
        emit_json(diff_object(cards, parts, changes, has_text=code))
        return
    emit(diff_text(names_of(cards), parts, changes, table_width()))
    if code:
        emit("\n".join(change.text for change in changes if change.text))
