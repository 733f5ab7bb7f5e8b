"""`labcli runs import`: take over runs that other tools recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command
from labcli.output import emit, emit_json
from runs.errors import Corrupt
from runs.importers.detect import Found, find_sources, read_source
from runs.importers.source import ForeignRun, Format
from runs.importers.store import Imported, store
from runs.paths import LabHome
from tui.analysis.words import short_count

app = lone_command()


Source = Annotated[
    Path,
    typer.Argument(
        metavar="PATH", help="A file, or a directory that holds runs.", show_default=False
    ),
]
FormatOption = Annotated[
    Literal[Format, "auto"],
    typer.Option("--format", help="How to read it; auto looks at the content."),
]


@app.command()
def import_(
    ctx: typer.Context,
    path: Source,
    form: FormatOption = "auto",
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Take over runs of wandb (offline), TensorBoard, trackio, nanochat's output, CSV or JSONL.

    The files stay as they are. What was imported before is left alone, and what is damaged costs
    no more than itself.
    """
    lab = home_of(ctx, home)
    chosen: Format | None = None if form == "auto" else form
    sources = find_sources(path, chosen)
    rows: list[dict[str, Any]] = []
    num_bad = 0
    for found in sources:
        try:
            rows += _import_source(lab, found)
        except Corrupt as error:
            if len(sources) == 1:
                raise
            num_bad += 1
            diagnostics.error(str(error))
    if json:
        emit_json(rows)
    else:
        for row in rows:
            emit(str(row["slug"]))
    if num_bad:
        raise Corrupt(f"{num_bad} of {len(sources)} sources in {path} could not be read")


def _import_source(lab: LabHome, found: Found) -> list[dict[str, Any]]:
    rows = []
    for run in read_source(found):
        imported = store(lab, run, sys.argv)
        _narrate(run, imported)
        rows.append(
            {
                "run_id": imported.paths.run_dir.name[:26],
                "slug": imported.paths.run_dir.name[27:],
                "name": run.name,
                "format": run.format,
                "source": str(run.paths[0]),
                "is_new": imported.is_new,
                "num_points": imported.num_points,
                "problems": list(run.problems),
            }
        )
    return rows


def _narrate(run: ForeignRun, imported: Imported) -> None:
    slug = imported.paths.run_dir.name[27:]
    if not imported.is_new:
        back = f" and deleted; back with: labcli runs restore {slug}" if imported.is_trashed else ""
        diagnostics.say(f"{run.name} was imported before as {slug}{back}")
        return
    count = short_count(float(imported.num_points))
    diagnostics.say(f"{run.name}: {count} rows of {run.format} as {slug}")
    for problem in run.problems:
        diagnostics.say(f"  not imported: {problem}")
