"""`labcli sweep status`: the runs of one sweep, with the best of them."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli.options import HomeOption, JsonOption, home_of, lone_command, optional
from labcli.output import emit, emit_json
from labcli.sweep.options import SweepArgument, start_queue
from labcli.sweep.show import VAL_BPB, Metric, status_object, status_text
from runs.scheduling.budget import sweep_budget
from runs.scheduling.sweep import resolve_sweep
from runs.scheduling.sweeping import variant_views

app = lone_command()


@app.command()
def status(
    ctx: typer.Context,
    sweep: SweepArgument = "last",
    metric: Annotated[
        str | None, optional("--metric", "KEY", "Compare by this metric; default: val_bpb.")
    ] = None,
    highest: Annotated[
        bool, typer.Option("--highest", help="The highest value is the best, not the lowest.")
    ] = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show the variants of a sweep: what they change, how far they are, how good they are."""
    lab = home_of(ctx, home)
    found = resolve_sweep(lab, sweep)
    start_queue(lab)
    views = variant_views(lab, found)
    chosen = Metric(name=metric or VAL_BPB, is_highest=highest)
    if json:
        emit_json(status_object(found, views, chosen))
    else:
        emit(status_text(found, views, chosen, sweep_budget(lab, found)))
