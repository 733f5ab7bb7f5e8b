"""`labcli runs restore`: bring deleted runs back, or show which there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command
from labcli.output import emit, emit_json, stdout_columns
from labcli.text.figures import size, when
from labcli.text.tables import render
from runs.lineage.trash import Trashed, list_trash
from runs.lineage.trash import restore as restore_run
from runs.views.query import load_run

app = lone_command()

Runs = Annotated[
    list[str] | None, typer.Argument(metavar="DELETED", help="Name deleted runs; none: list them.")
]


@app.command()
def restore(
    ctx: typer.Context,
    runs: Runs = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Bring runs back from the trash; without a run, list what lies there."""
    lab = home_of(ctx, home)
    if not runs:
        _list(list_trash(lab), json=json)
        return
    rows = []
    for name in runs:
        path = restore_run(lab, name)
        rows.append({"run_id": path.name[:26], "slug": path.name[27:], "path": str(path)})
    if json:
        emit_json(rows)
        return
    for row in rows:
        emit(row["slug"])


def _list(trashed: Sequence[Trashed], *, json: bool) -> None:
    rows = [_row(entry) for entry in trashed]
    if json:
        emit_json(rows)
    elif rows:
        cells = [
            [row["slug"], row["state"], size(row["disk_bytes"]), when(row["deleted_s"])]
            for row in rows
        ]
        emit(
            render(("RUN", "STATE", "SIZE", "DELETED"), cells, right="llr", width=stdout_columns())
        )
    else:
        diagnostics.say("the trash is empty")


def _row(entry: Trashed) -> dict[str, Any]:
    view = load_run(entry.path)
    return {
        "run_id": view.run_id,
        "slug": view.slug,
        "name": view.name,
        "state": view.state,
        "deleted_s": entry.deleted_s,
        "disk_bytes": entry.disk_bytes,
        "path": str(entry.path),
    }
