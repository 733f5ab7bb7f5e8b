"""What the sweep commands share: how a sweep is named, and that its queue goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
from runs.paths import LabHome
from runs.queue import entries
from runs.queue_runner import ensure_runner

SweepArgument = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP",
        help="Name the sweep: its id or the start of it, its slug, its name, or 'last'.",
        show_default=False,
    ),
]


def start_queue(home: LabHome) -> None:
    """Start the queue where runs wait and nothing starts them, and say so."""
    if ensure_runner(home) is not None:
        diagnostics.say(f"started the queue; {len(entries(home))} runs wait")
