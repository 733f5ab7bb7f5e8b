"""`labcli runs why`: where two curves part, beside every difference of the runs."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli.analysis.explanations import why_object, why_text
from labcli.analysis.naming import load_several, table_width
from labcli.options import HELP_NAMES, HomeOption, JsonOption, home_of
from labcli.output import emit, emit_json
from runs.analysis.why import why as find_reasons
from runs.views.card import load_cards
from tui.analysis.words import names_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)

First = Annotated[
    str, typer.Argument(metavar="A", help="Name the run to compare with.", show_default=False)
]
Second = Annotated[
    str, typer.Argument(metavar="B", help="Name the run that differs.", show_default=False)
]
Metric = Annotated[
    str, typer.Option("--metric", metavar="NAME", help="Look at this metric of every step.")
]
StageName = Annotated[
    str | None,
    typer.Option("--stage", metavar="STAGE", help="Look at this stage; default: base."),
]


@app.command(context_settings=HELP_NAMES)
def why(
    ctx: typer.Context,
    first: First,
    second: Second,
    metric: Metric = "loss",
    stage: StageName = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show where the curves of two runs part, and what differs between the runs.

    Differences of settings, data, code and environment are ranked by what they can do; those that
    act only after the curves have parted come last.
    """
    lab = home_of(ctx, home)
    cards = load_several(lab, [first, second], least=2, command="why")
    found = find_reasons(cards[0], cards[1], load_cards(lab), metric=metric, stage=stage)
    if json:
        emit_json(why_object(found, cards))
    else:
        emit(why_text(found, names_of(cards), table_width()))
