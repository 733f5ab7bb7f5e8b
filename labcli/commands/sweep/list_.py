"""`labcli sweep list`: every sweep, newest first."""

from __future__ import annotations

import typer

from labcli.options import (
    CsvOption,
    HomeOption,
    JsonlOption,
    JsonOption,
    TableOption,
    home_of,
    lone_command,
    pick_format,
)
from labcli.output import emit_rows, stdout_columns
from labcli.sweep.show import LIST_COLUMNS, list_row, list_table
from runs.scheduling.sweep import load_sweep, sweep_dirs
from runs.scheduling.sweeping import variant_views

app = lone_command()


@app.command()
def list_(
    ctx: typer.Context,
    json: JsonOption = False,
    jsonl: JsonlOption = False,
    csv: CsvOption = False,
    table: TableOption = False,
    home: HomeOption = None,
) -> None:
    """List every sweep, newest first."""
    form = pick_format(json=json, jsonl=jsonl, csv=csv, table=table)
    lab = home_of(ctx, home)
    sweeps = [load_sweep(path) for path in sweep_dirs(lab)]
    pairs = [(sweep, variant_views(lab, sweep)) for sweep in sweeps]
    rows = [list_row(sweep, views) for sweep, views in pairs]
    emit_rows(rows, form, table=list_table(pairs, width=stdout_columns()), columns=LIST_COLUMNS)
