"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from labcli.output import Format
from runs.errors import UsageError
from runs.paths import LabHome, lab_home

HELP_NAMES = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What was said before the command's name."""

    home: Path | None = None


def lone_command() -> typer.Typer:
    """Return the app of a module that holds one command."""
    return typer.Typer(rich_markup_mode=None, add_completion=False, context_settings=HELP_NAMES)


def optional(flag: str, metavar: str, text: str, **limits: Any) -> Any:
    """Return an option whose help `text` says what leaving it out means, not its default value.

    limits: min, max and what else typer.Option takes.
    """
    return typer.Option(flag, metavar=metavar, help=text, show_default=False, **limits)


HomeOption = Annotated[
    Path | None,
    optional("--home", "DIR", "Use this lab home instead of $LABCLI_HOME or ~/.labcli."),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Name the run: its id or the start of it, its slug, its name, or 'last'.",
        show_default=False,
    ),
]
NumLines = Annotated[
    int, typer.Option("-n", "--lines", min=0, metavar="N", help="Show this many past lines.")
]
RunsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN",
        help="Name the runs: ids or the starts of them, slugs, names, or 'last'.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
JsonlOption = Annotated[bool, typer.Option("--jsonl", help="Write one JSON object per line.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Write comma-separated values.")]
TableOption = Annotated[bool, typer.Option("--table", help="Write a table (the default).")]


def home_of(ctx: typer.Context, home: Path | None) -> LabHome:
    """Return the lab home: the command's --home, else the one before it, else the default."""
    session = ctx.find_root().obj
    if home is None and isinstance(session, Session):
        home = session.home
    lab = lab_home(home, os.environ)
    if lab.root.exists() and not lab.root.is_dir():
        raise UsageError(f"the lab home {lab.root} is not a directory; choose another --home")
    return lab


def pick_format(*, json: bool, jsonl: bool, csv: bool, table: bool) -> Format:
    """Return the one form that was asked for; a table when none was."""
    flags = {Format.JSON: json, Format.JSONL: jsonl, Format.CSV: csv, Format.TABLE: table}
    chosen = [form for form, is_set in flags.items() if is_set]
    if len(chosen) > 1:
        names = ", ".join(f"--{form}" for form in chosen)
        raise UsageError(f"{names} exclude each other; give one of them")
    return chosen[0] if chosen else Format.TABLE
