"""`labcli bench registry`: event logs, the registry and history."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
from labcli.commands.bench.options import check_tasks
from labcli.options import JsonOption, lone_command, optional
from labcli.output import emit, emit_json_line

app = lone_command()

OnlyOption = Annotated[
    list[str] | None,
    optional(
        "--only",
        "TASK",
        "Measure emit, ingest, kill, list, history, tail or launch; may be repeated; default: all.",
    ),
]
SoakOption = Annotated[bool, typer.Option("--soak", help="Measure at full size.")]


@app.command()
def registry(
    only: OnlyOption = None,
    soak: SoakOption = False,
    json: JsonOption = False,
) -> None:
    """Measure event logs, the registry and history.

    Each figure stands beside its target; logging also beside installed trackers (wandb offline,
    trackio), which take turns with labcli in processes of their own. Of these, trackio reads runs
    back without a server, and is measured at that too. Takes three minutes; with --soak, over 100
    million points, ten.
    """
    from labcli.bench.registry.figures import LONG, SHORT, TASKS, measure_all, render_figures

    tasks = check_tasks(only, list(TASKS))
    figures = list(measure_all(LONG if soak else SHORT, tasks, diagnostics.say))
    if json:
        emit_json_line([figure.row() for figure in figures])
    else:
        emit(render_figures(figures))
