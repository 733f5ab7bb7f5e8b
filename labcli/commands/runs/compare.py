"""`labcli runs compare`: who is better, by how much sooner, and whether noise explains it."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli.analysis.comparisons import comparison_object, comparison_text
from labcli.analysis.naming import load_several, table_width
from labcli.options import HELP_NAMES, HomeOption, JsonOption, RunsArgument, home_of
from labcli.output import emit, emit_json
from runs.analysis.comparison import compare as compare_runs
from runs.analysis.repeat import repeat_command
from runs.errors import UsageError, nearest
from runs.metrics.run_curve import AXES, Axis
from runs.views.card import load_cards

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Metric = Annotated[
    str | None,
    typer.Option("--metric", metavar="NAME", help="Compare this; default: val_bpb, else loss."),
]
StageName = Annotated[
    str | None,
    typer.Option("--stage", metavar="STAGE", help="Compare in this stage; default: base."),
]
XAxis = Annotated[
    str,
    typer.Option("--x", metavar="AXIS", help="Align on step, tokens, time, flops or usd."),
]
Rate = Annotated[
    float | None,
    typer.Option("--usd-per-hour", metavar="X", min=0.0, help="What an hour of the machine costs."),
]


@app.command(context_settings=HELP_NAMES)
def compare(
    ctx: typer.Context,
    runs: RunsArgument,
    metric: Metric = None,
    stage: StageName = None,
    x: XAxis = "step",
    usd_per_hour: Rate = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Compare runs with the first: values, speed-up at equal quality, and seed noise.

    Speed-up asks what share of the first run's steps, time, FLOPs and dollars another one needs to
    get as far. The noise floor comes from runs that differ by their seeds alone.
    """
    lab = home_of(ctx, home)
    cards = load_several(lab, runs, least=2, command="compare")
    everyone = load_cards(lab)
    found = compare_runs(
        cards, everyone, metric=metric, stage=stage, axis=axis_of(x), usd_per_hour=usd_per_hour
    )
    repeat = None if found.floor else repeat_command(cards[0], everyone, found.stage)
    if json:
        emit_json(comparison_object(found, repeat))
    else:
        emit(comparison_text(found, repeat, table_width()))


def axis_of(text: str) -> Axis:
    """Return the axis that a word names, or raise UsageError."""
    for axis in AXES:
        if axis == text:
            return axis
    raise UsageError(f"unknown axis {text!r}{nearest(text, AXES)}")
