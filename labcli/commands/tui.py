"""`labcli tui`: the full-screen views. Bare `labcli tui` opens the dashboard."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from labcli.lazy import Group
from labcli.options import HomeOption, Session, home_of
from labcli.tok.given import FileOption, TokenizersOption
from runs.errors import UsageError


class ViewGroup(Group):
    """The views; called bare, it opens the first one instead of showing help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options of the group."""
        return TyperGroup.parse_args(self, ctx, args)


app = typer.Typer(cls=ViewGroup, rich_markup_mode=None, add_completion=False)

RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="RUN",
        help="Show this run first: its id or the start of it, slug, name, or 'last'.",
        show_default=False,
    ),
]


ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="REF",
        help="Begin with this model, RUN[:STAGE][@STEP]; may be given several times.",
        show_default=False,
    ),
]


ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="REF",
        help="Talk to this model, RUN[:STAGE][@STEP]; default: the newest.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def tui(ctx: typer.Context, home: HomeOption = None) -> None:
    """Open a full-screen view; the dashboard, when none is named."""
    if ctx.invoked_subcommand is None:
        show(ctx, home, "dashboard")
    elif home is not None:
        ctx.find_root().obj = Session(home=home)


@app.command()
def dashboard(ctx: typer.Context, home: HomeOption = None, run: RunOption = None) -> None:
    """Watch every run live: states, curves, logs and samples."""
    show(ctx, home, "dashboard", run=run)


@app.command()
def playground(
    ctx: typer.Context,
    home: HomeOption = None,
    tokenizer: TokenizersOption = None,
    file: FileOption = None,
) -> None:
    """See the tokens of a text as it is typed, by several tokenizers."""
    show(ctx, home, "playground", tokenizers=tuple(tokenizer or ()), file=file)


@app.command()
def arena(ctx: typer.Context, home: HomeOption = None, model: ModelsOption = None) -> None:
    """Ask several models the same and see the answers side by side."""
    show(ctx, home, "arena", models=tuple(model or ()))


@app.command()
def selfchat(ctx: typer.Context, home: HomeOption = None, run: RunOption = None) -> None:
    """Watch models talk to themselves, every token measured, live or replayed."""
    show(ctx, home, "selfchat", run=run)


@app.command()
def chat(ctx: typer.Context, home: HomeOption = None, model: ModelOption = None) -> None:
    """Talk to a model, turn by turn."""
    show(ctx, home, "chat", models=() if model is None else (model,))


def show(
    ctx: typer.Context,
    home: Path | None,
    view: str,
    *,
    run: str | None = None,
    **given: Any,
) -> None:
    """Open a view of a lab home; `given` are further fields of tui.views.Opening."""
    # Textual reads keys from stdin and draws on stderr.
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError(f"the {view} needs a terminal; for a pipe use: labcli {FOR_PIPES[view]}")
    from labcli.tok.catalogue import vocabularies
    from runs.refs import resolve_run
    from tui.app import open_view
    from tui.shell.environment import read_environment
    from tui.views import Opening

    lab = home_of(ctx, home)
    opening = Opening(
        home=lab,
        environment=read_environment(os.environ, sys.stdout.encoding or "ascii"),
        focus=resolve_run(lab, run) if run else None,
        vocabularies=vocabularies(lab),
        **given,
    )
    open_view(view, opening)


# What shows the same without a full screen.
FOR_PIPES = {
    "dashboard": "runs list",
    "playground": "tok explain",
    "arena": "compare",
    "selfchat": "selfchat --show last",
    "chat": "chat",
}
