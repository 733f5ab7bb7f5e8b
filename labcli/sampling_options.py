"""Options of the commands that let a model speak."""

from __future__ import annotations

from typing import Annotated

import typer

TopKOption = Annotated[
    int, typer.Option("--top-k", min=1, metavar="K", help="Draw from the K likeliest tokens.")
]
TopPOption = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        min=0.0,
        max=1.0,
        metavar="P",
        help="Draw from the likeliest tokens that hold this share of probability.",
        show_default=False,
    ),
]
MinPOption = Annotated[
    float | None,
    typer.Option(
        "--min-p",
        min=0.0,
        max=1.0,
        metavar="P",
        help="Drop tokens below this share of the likeliest one's probability.",
        show_default=False,
    ),
]
PenaltyOption = Annotated[
    float,
    typer.Option(
        "--repetition-penalty", metavar="X", help="Make what was said less likely; 1 does nothing."
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=2**62,
        metavar="N",
        help="Repeat the answers of an earlier talk; default: new ones each time.",
        show_default=False,
    ),
]
LimitOption = Annotated[
    int,
    typer.Option("--max-new-tokens", min=1, metavar="N", help="End an answer after N tokens."),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Run on cpu, cuda or cuda:N; default: a GPU if there is one.",
        show_default=False,
    ),
]
