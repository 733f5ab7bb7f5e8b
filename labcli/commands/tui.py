"""`labcli tui`: the full-screen views. Bare `labcli tui` opens the dashboard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from labcli.options import HomeOption, Session, home_of
from runs.errors import UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help="Show this run first: its id or the start of it, slug, name, or 'last'.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def tui(ctx: typer.Context, home: HomeOption = None) -> None:
    """Open a full-screen view; the dashboard, when none is named."""
    if ctx.invoked_subcommand is None:
        show(ctx, home, None)
    elif home is not None:
        ctx.find_root().obj = Session(home=home)


@app.command()
def dashboard(ctx: typer.Context, home: HomeOption = None, run: RunOption = None) -> None:
    """Watch every run live: states, curves, logs and samples."""
    show(ctx, home, run)


def show(ctx: typer.Context, home: Path | None, run: str | None) -> None:
    """Open the dashboard of a lab home, with one run in front if it is named."""
    # Textual reads keys from stdin and draws on stderr.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError("the dashboard needs a terminal; for a pipe use: labcli runs list")
    from runs.refs import resolve_run
    from tui.app import open_dashboard

    lab = home_of(ctx, home)
    open_dashboard(lab, resolve_run(lab, run) if run else None)
