"""`labcli runs alerts`: what went wrong in one run, or in all of them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from labcli.options import (
    HELP_NAMES,
    CsvOption,
    HomeOption,
    JsonlOption,
    JsonOption,
    TableOption,
    home_of,
    pick_format,
)
from labcli.output import emit_rows, stdout_columns
from labcli.shown.alerts import COLUMNS, Shown, alert_row, alert_table
from runs.alerting.alerts import read_alerts
from runs.refs import resolve_run
from runs.settings import load_settings
from runs.views.query import run_dirs

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Run = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="Name the run; default: all runs.", show_default=False),
]


@app.command(context_settings=HELP_NAMES)
def alerts(
    ctx: typer.Context,
    run: Run = None,
    json: JsonOption = False,
    jsonl: JsonlOption = False,
    csv: CsvOption = False,
    table: TableOption = False,
    home: HomeOption = None,
) -> None:
    """List what went wrong in runs, newest last.

    Numbers that are not finite, jumps and divergence of the loss, plateaus, drops of MFU, stages
    that hang, full disks. They are found in the events, also in those of runs that nobody watched;
    the thresholds are in settings.toml of the lab home, section [alerts].
    """
    form = pick_format(json=json, jsonl=jsonl, csv=csv, table=table)
    lab = home_of(ctx, home)
    rules = load_settings(lab, os.environ).alerts
    directories = run_dirs(lab) if run is None else [resolve_run(lab, run)]
    found = [
        Shown(run_id=path.name[:26], run=path.name[27:], alert=alert)
        for path in directories
        for alert in read_alerts(path, rules)
    ]
    found.sort(key=lambda one: one.alert.t)
    rows = [alert_row(one) for one in found]
    emit_rows(rows, form, table=alert_table(found, width=stdout_columns()), columns=COLUMNS)
