"""What the sweep commands share: how a sweep is named, and that its queue goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
from runs.paths import LabHome
from runs.scheduling.queue import entries
from runs.scheduling.queue_runner import ensure_runner

SweepArgument = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP",
        help="Name the sweep: its id or the start of it, its slug, its name, or 'last'.",
        show_default=False,
    ),
]


def start_queue(home: LabHome) -> bool:
    """Start the queue where runs wait and nothing starts them, say so, and return whether."""
    is_started = ensure_runner(home) is not None
    if is_started:
        diagnostics.say(f"started the queue; runs that wait: {len(entries(home))}")
    return is_started
