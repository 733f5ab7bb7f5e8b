"""`labcli runs list`: every run, newest first."""

from __future__ import annotations

import typer

from labcli.options import (
    CsvOption,
    HomeOption,
    JsonlOption,
    JsonOption,
    TableOption,
    home_of,
    pick_format,
)
from labcli.output import emit_rows
from labcli.views import LIST_COLUMNS, list_row, list_table
from runs.query import list_runs

HELP_NAMES = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(context_settings=HELP_NAMES)
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
