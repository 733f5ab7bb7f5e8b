"""`labcli runs export`: runs for other programs and for other people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer

from labcli import diagnostics
from labcli.options import HomeOption, home_of, lone_command, optional
from labcli.output import emit_bytes, emit_part
from labcli.shown.sharing import card
from labcli.text.figures import size
from runs.errors import UsageError
from runs.export import (
    Form,
    TableName,
    csv_text,
    json_text,
    jsonl_text,
    parquet_bytes,
    write_chunks,
)
from runs.paths import RunPaths
from runs.record import load_record
from runs.refs import resolve_run
from runs.track.contract import logged_config
from runs.views.query import load_run

app = lone_command()

Runs = Annotated[
    list[str], typer.Argument(metavar="RUN", help="Name the runs.", show_default=False)
]
FormOption = Annotated[
    Form | None,
    optional("--format", "csv|json|jsonl|parquet|md", "Default: by the end of --out, else csv."),
]
Out = Annotated[Path | None, optional("--out", "PATH", "Write to this file instead of stdout.")]
WhichTable = Annotated[
    TableName, typer.Option("--table", help="Of csv and parquet: a row per point, or per stage.")
]


@app.command()
def export(
    ctx: typer.Context,
    runs: Runs,
    form: FormOption = None,
    out: Out = None,
    table: WhichTable = "metrics",
    home: HomeOption = None,
) -> None:
    """Write metrics at full resolution, settings and states of runs; md is a page to share.

    Columns of the metrics: run_id, run, stage, attempt, step, time_s (Unix seconds), metric,
    value, is_superseded (a later attempt went on from an earlier step).
    """
    lab = home_of(ctx, home)
    chosen = form or _form_of(out)
    run_dirs = list(dict.fromkeys(resolve_run(lab, name) for name in runs))
    if out is not None:
        num_bytes = write_chunks(out, _content(run_dirs, chosen, table))
        diagnostics.say(f"{out}: {size(float(num_bytes))} of {chosen}")
    elif chosen == "parquet":
        emit_bytes(parquet_bytes(run_dirs, table))
    else:
        for text in _texts(run_dirs, chosen, table):
            emit_part(text)


def _form_of(out: Path | None) -> Form:
    suffix = out.suffix[1:] if out is not None else "csv"
    for known in get_args(Form):
        if suffix == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"{out} does not tell a format; add --format csv, json, jsonl, parquet or md")


def _content(run_dirs: Sequence[Path], form: Form, table: TableName) -> Iterator[bytes]:
    if form == "parquet":
        yield parquet_bytes(run_dirs, table)
        return
    for text in _texts(run_dirs, form, table):
        yield text.encode("utf-8", errors="replace")


def _texts(run_dirs: Sequence[Path], form: Form, table: TableName) -> Iterator[str]:
    if form == "json":
        yield from json_text(run_dirs)
    elif form == "jsonl":
        yield from jsonl_text(run_dirs)
    elif form == "md":
        pages = [
            card(load_run(path), load_record(path), logged_config(RunPaths(path)))
            for path in run_dirs
        ]
        yield "\n".join(pages)
    else:
        yield from csv_text(run_dirs, table)
