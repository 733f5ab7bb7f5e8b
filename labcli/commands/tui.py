"""`labcli tui`: the full-screen views. Bare `labcli tui` opens the dashboard."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from labcli.browser.serve_tui import ServeOptions, serve_view
from labcli.flags.group import with_groups
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
@with_groups
def tui(ctx: typer.Context, home: HomeOption = None, *, serving: ServeOptions) -> None:
    """Open a full-screen view; the dashboard, when none is named."""
    if ctx.invoked_subcommand is None:
        show(ctx, home, "dashboard", serving)
    elif serving != ServeOptions():
        name = ctx.invoked_subcommand
        raise UsageError(f"put --serve behind the view: labcli tui {name} --serve")
    elif home is not None:
        ctx.find_root().obj = Session(home=home)


@app.command()
@with_groups
def dashboard(
    ctx: typer.Context, home: HomeOption = None, run: RunOption = None, *, serving: ServeOptions
) -> None:
    """Watch every run live: states, curves, logs and samples."""
    show(ctx, home, "dashboard", serving, run=run)


@app.command()
@with_groups
def playground(
    ctx: typer.Context,
    home: HomeOption = None,
    tokenizer: TokenizersOption = None,
    file: FileOption = None,
    *,
    serving: ServeOptions,
) -> None:
    """See the tokens of a text as it is typed."""
    show(ctx, home, "playground", serving, tokenizers=tuple(tokenizer or ()), file=file)


@app.command()
@with_groups
def arena(
    ctx: typer.Context,
    home: HomeOption = None,
    model: ModelsOption = None,
    *,
    serving: ServeOptions,
) -> None:
    """Ask several models the same and see the answers side by side."""
    show(ctx, home, "arena", serving, models=tuple(model or ()))


@app.command()
@with_groups
def selfchat(
    ctx: typer.Context, home: HomeOption = None, run: RunOption = None, *, serving: ServeOptions
) -> None:
    """Watch models talk to themselves, every token measured."""
    show(ctx, home, "selfchat", serving, run=run)


@app.command()
@with_groups
def chat(
    ctx: typer.Context,
    home: HomeOption = None,
    model: ModelOption = None,
    *,
    serving: ServeOptions,
) -> None:
    """Talk to a model, turn by turn."""
    show(ctx, home, "chat", serving, models=() if model is None else (model,))


def show(
    ctx: typer.Context,
    home: Path | None,
    view: str,
    serving: ServeOptions,
    *,
    run: str | None = None,
    **given: Any,
) -> None:
    """Open a view of a lab home; `given` are further fields of tui.views.Opening."""
    if serving.serve:
        serve_view(home_of(ctx, home), [view, *_words(run=run, **given)], serving)
        return
    is_served = DRIVER in os.environ
    # Textual reads keys from stdin and draws on stderr.
    if not is_served and not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError(f"the {view} needs a terminal; for a pipe use: labcli {FOR_PIPES[view]}")
    if "SSH_CONNECTION" not in os.environ:
        # Read when Textual is imported. A key waits for the next tick before its effect is painted,
        # which at the usual 60 a second is as long as all the rest takes in the playground.
        os.environ.setdefault(TICKS_VARIABLE, TICKS_PER_S)
    from labcli.tok.catalogue import vocabularies
    from runs.refs import resolve_run
    from tui.app import open_view
    from tui.shell.environment import read_environment
    from tui.views import Opening

    lab = home_of(ctx, home)
    encoding = sys.stdout.encoding or "ascii"
    opening = Opening(
        home=lab,
        environment=read_environment(os.environ, "utf-8" if is_served else encoding),
        focus=resolve_run(lab, run) if run else None,
        vocabularies=vocabularies(lab),
        **given,
    )
    code = open_view(view, opening)
    if code:
        raise typer.Exit(code)


def _words(**given: Any) -> list[str]:
    """Return options as the app in the browser is given them."""
    words = []
    for name, value in given.items():
        for item in value if isinstance(value, tuple) else (value,):
            words += [OPTIONS[name], str(item)] if item is not None else []
    return words


# The option of a view behind each field of tui.views.Opening.
OPTIONS = {"run": "--run", "models": "--model", "tokenizers": "--tokenizer", "file": "--file"}
# Textual draws through this instead of a terminal; a server of its apps sets it.
DRIVER = "TEXTUAL_DRIVER"
# How often a second Textual may paint.
TICKS_VARIABLE = "TEXTUAL_FPS"
TICKS_PER_S = "240"


# What shows the same without a full screen.
FOR_PIPES = {
    "dashboard": "runs list",
    "playground": "tok explain",
    "arena": "compare",
    "selfchat": "selfchat --show last",
    "chat": "chat",
}
