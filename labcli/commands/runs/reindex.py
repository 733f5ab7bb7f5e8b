"""`labcli runs reindex`: make the registry anew."""

from __future__ import annotations

import typer

from labcli.options import HELP_NAMES, HomeOption, JsonOption, home_of
from labcli.output import emit, emit_json
from runs.registry.store import reindex as rebuild_registry

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(context_settings=HELP_NAMES)
def reindex(ctx: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """Rebuild the registry from the run directories."""
    lab = home_of(ctx, home)
    num_runs = rebuild_registry(lab)
    if json:
        emit_json({"num_runs": num_runs, "path": str(lab.registry)})
    else:
        emit(f"indexed {num_runs} runs in {lab.registry}")
