"""`labcli sweep stop`: take what waits out of the queue, and stop what runs."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
from labcli.options import HomeOption, home_of, lone_command
from labcli.sweep.options import SweepArgument
from runs.errors import UsageError
from runs.scheduling.sweep import resolve_sweep
from runs.scheduling.sweeping import stop as stop_sweep

app = lone_command()


@app.command()
def stop(
    ctx: typer.Context,
    sweep: SweepArgument,
    now: Annotated[bool, typer.Option("--now", help="Kill runs instead of waiting.")] = False,
    home: HomeOption = None,
) -> None:
    """Stop a sweep: its runs write a checkpoint and end, those that wait leave the queue."""
    lab = home_of(ctx, home)
    found = resolve_sweep(lab, sweep)
    num_waiting, num_running = stop_sweep(lab, found, now=now)
    if not num_waiting and not num_running:
        raise UsageError(f"nothing of {found.name} runs or waits")
    diagnostics.say(
        f"{found.name}: {num_running} stopping, {num_waiting} taken out of the queue; "
        f"to go on: labcli sweep resume {found.slug}"
    )
