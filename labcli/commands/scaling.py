"""`labcli scaling`: what the runs of a lab say about size, compute and what comes next."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from labcli.analysis.comparisons import wrapped
from labcli.analysis.naming import table_width
from labcli.analysis.scaling import fit_object, fit_text
from labcli.analysis.scaling_plot import plot_text
from labcli.lazy import Group
from labcli.options import HELP_NAMES, HomeOption, JsonOption, home_of
from labcli.output import emit, emit_json
from labcli.text.terminal import glyphs_of
from runs.analysis.forecast import Forecast, forecast
from runs.analysis.scaling_fit import (
    Target,
    lab_rate,
    parse_target,
    price,
    require_something,
    scaling_fit,
)
from runs.errors import NotFound, UsageError
from runs.views.card import RunCard, load_card, load_cards
from runs.views.filters import select
from runs.views.states import ACTIVE
from tui.analysis.laws import loss_name

PLOT_ROWS = 20

app = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    add_completion=False,
    help="Fit scaling laws over runs and project those in progress.",
    context_settings=HELP_NAMES,
)

FilterArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILTER", help="Use the runs that pass, as in runs list.", show_default=False
    ),
]
Metric = Annotated[
    str | None,
    typer.Option("--metric", metavar="NAME", help="Fit this; default: the target's, or val_bpb."),
]
StageName = Annotated[str, typer.Option("--stage", metavar="STAGE", help="Look at this stage.")]
OfRun = Annotated[
    str | None,
    typer.Option("--run", metavar="RUN", help="Project this run; default: all in progress."),
]
TargetOption = Annotated[
    str | None,
    typer.Option("--target", metavar="T", help="Ask what this takes: val_bpb=0.9, or gpt2."),
]
Rate = Annotated[
    float | None,
    typer.Option("--usd-per-hour", metavar="X", min=0.0, help="What an hour of the machine costs."),
]


@app.command(context_settings=HELP_NAMES)
def fit(
    ctx: typer.Context,
    filters: FilterArgument = None,
    metric: Metric = None,
    stage: StageName = "base",
    run: OfRun = None,
    target: TargetOption = None,
    usd_per_hour: Rate = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Fit loss against FLOPs and sizes, and project runs.

    The law is loss = E + A C^-alpha over the runs that no cheaper run beats. A target is met
    where the law, and the curve of each run in progress, come down to it; gpt2 is CORE 0.2565.
    """
    lab = home_of(ctx, home)
    cards = load_cards(lab)
    chosen = select(" ".join(filters or ()), cards)
    goal = _goal(target, metric)
    name = goal.metric if goal else metric or "val_bpb"
    found = scaling_fit(chosen, stage, name)
    if run is not None:
        forecasts = [_forecast(load_card(lab, run), stage, name, goal, usd_per_hour)]
    else:
        forecasts = _in_progress(chosen, stage, name, goal, usd_per_hour)
    if not forecasts:
        require_something(found)
    rate = lab_rate(chosen) if usd_per_hour is None else usd_per_hour
    cost = None if goal is None else price(found, goal, rate)
    if json:
        emit_json(fit_object(found, target=goal, price=cost, forecasts=forecasts))
    else:
        emit(fit_text(found, target=goal, price=cost, forecasts=forecasts, width=table_width()))


@app.command(context_settings=HELP_NAMES)
def plot(
    ctx: typer.Context,
    filters: FilterArgument = None,
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="Plot this.")] = "val_bpb",
    stage: StageName = "base",
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Plot loss against FLOPs, with the law through the best runs."""
    chosen = select(" ".join(filters or ()), load_cards(home_of(ctx, home)))
    found = scaling_fit(chosen, stage, metric)
    if json:
        emit_json(fit_object(found, target=None, price=None, forecasts=()))
        return
    if not found.data.points:
        raise NotFound(str(found.problem))
    chart = plot_text(
        found.data.points,
        found.law,
        glyphs=glyphs_of(sys.stdout),
        width=table_width(),
        height=shutil.get_terminal_size((0, PLOT_ROWS)).lines,
    )
    emit(f"{loss_name(metric)} over FLOPs of {stage}\n{chart}")
    if found.problem:
        emit(wrapped(found.problem, table_width()))


def _goal(target: str | None, metric: str | None) -> Target | None:
    if target is None:
        return None
    goal = parse_target(target, metric or "val_bpb")
    if metric is not None and goal.metric != metric:
        raise UsageError(f"--target is of {goal.metric} and --metric is {metric}; give one")
    return goal


def _forecast(
    card: RunCard, stage: str, metric: str, goal: Target | None, rate: float | None
) -> Forecast:
    level = None if goal is None else goal.loss
    return forecast(card, stage, metric, level=level, usd_per_hour=rate)


def _in_progress(
    cards: list[RunCard], stage: str, metric: str, goal: Target | None, rate: float | None
) -> list[Forecast]:
    found = []
    for card in cards:
        seen = [entry for entry in card.view.stages if entry.stage == stage]
        if seen and seen[0].state in ACTIVE:
            try:
                found.append(_forecast(card, stage, metric, goal, rate))
            except NotFound:
                continue
    return found
