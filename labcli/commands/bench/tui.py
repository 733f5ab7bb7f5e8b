"""`labcli bench tui`: the full-screen views."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
from labcli.commands.bench.options import RoundsOption, check_tasks, parse_size
from labcli.options import JsonOption, lone_command, optional
from labcli.output import emit, emit_json_line

app = lone_command()

ViewTaskOption = Annotated[
    list[str] | None,
    optional(
        "--only",
        "TASK",
        "Measure paint, idle, filter, live, points or playground; may be repeated; default: all.",
    ),
]
RunsOption = Annotated[int, typer.Option(min=1, metavar="N", help="List so many runs.")]
PointsOption = Annotated[int, typer.Option(min=9, metavar="N", help="Draw so many points.")]
TextSizeOption = Annotated[str, typer.Option(metavar="10kb", help="Type into so much text.")]
SecondsOption = Annotated[
    float, typer.Option(min=0.5, metavar="S", help="Watch for so long what happens by itself.")
]


@app.command()
def tui(
    only: ViewTaskOption = None,
    runs: RunsOption = 1000,
    points: PointsOption = 1_000_000,
    text_size: TextSizeOption = "10kb",
    seconds: SecondsOption = 10.0,
    rounds: RoundsOption = 5,
    json: JsonOption = False,
) -> None:
    """Measure the full-screen views, each figure beside its target.

    On a pty the app runs as people start it, at 200 by 50, and a frame counts when all of it has
    arrived; headless figures are processor time alone. Takes two minutes.
    """
    from labcli.bench.registry.figures import render_figures
    from labcli.bench.tui.figures import TASKS, Extent, measure_all

    tasks = check_tasks(only, list(TASKS))
    extent = Extent(
        num_runs=runs,
        num_points=points,
        text_bytes=parse_size(text_size, "--text-size"),
        seconds=seconds,
        rounds=rounds,
    )
    figures = list(measure_all(extent, tasks, diagnostics.say))
    if json:
        emit_json_line([figure.row() for figure in figures])
    else:
        emit(render_figures(figures))
