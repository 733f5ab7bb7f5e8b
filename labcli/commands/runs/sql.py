"""`labcli runs sql`: ask the registry and the metrics of every run."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
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
from labcli.output import emit, emit_json, emit_rows
from labcli.text.figures import ABSENT
from labcli.text.tables import render
from runs.errors import UsageError
from runs.registry.sql import LIMIT_S, MAX_ROWS, ask, schema_columns, schema_text

app = typer.Typer(rich_markup_mode=None, add_completion=False)

StatementArgument = Annotated[
    str | None,
    typer.Argument(metavar="STATEMENT", help="Give one SELECT statement.", show_default=False),
]
SchemaOption = Annotated[
    bool, typer.Option("--schema", help="Show the tables, their columns and what they mean.")
]
LimitOption = Annotated[
    int, typer.Option("--limit", min=0, metavar="N", help="Write at most N rows; 0: all.")
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0.1, metavar="S", help="Give up after S seconds.")
]


@app.command(context_settings=HELP_NAMES)
def sql(
    ctx: typer.Context,
    statement: StatementArgument = None,
    schema: SchemaOption = False,
    limit: LimitOption = MAX_ROWS,
    timeout: TimeoutOption = LIMIT_S,
    json: JsonOption = False,
    jsonl: JsonlOption = False,
    csv: CsvOption = False,
    table: TableOption = False,
    home: HomeOption = None,
) -> None:
    """Answer a SELECT over runs, stages, summaries, metrics and sketches.

    DuckDB's SQL, read-only: nothing outside the lab can be read, nothing can be changed.
    A query may take 512 MB of memory.
    """
    form = pick_format(json=json, jsonl=jsonl, csv=csv, table=table)
    if schema:
        if json:
            emit_json(
                [
                    {"table": column.table, "column": column.column, "meaning": column.meaning}
                    for column in schema_columns()
                ]
            )
        else:
            emit(schema_text())
        return
    if statement is None:
        raise UsageError('give a statement, such as "SELECT name, val_bpb FROM runs", or --schema')
    answer = ask(home_of(ctx, home), statement, max_rows=limit or None, limit_s=timeout)
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    cells = [[_cell(value) for value in row] for row in answer.rows]
    text = render([name.upper() for name in answer.columns], cells)
    emit_rows(rows, form, table=text, columns=answer.columns)
    if answer.is_cut:
        diagnostics.say(f"the first {limit:,} rows; for all of them: --limit 0")


def _cell(value: object) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(str(value).split())
