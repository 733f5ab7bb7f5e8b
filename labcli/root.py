"""What the root of the command tree says of itself, in a form that needs no Typer to be shown.

Importing Typer takes most of the tenth of a second in which help has to be there.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import NamedTuple

SUMMARY = """Train a small language model from raw text to chat, and keep track of every run.

Start with: labcli run speedrun
"""
OPTIONS: Mapping[str, str] = {
    "--home DIR": "Use this lab home instead of $LABCLI_HOME or ~/.labcli.",
    "--verbose": "Show the traceback of an error (any position).",
    "--version": "Show the version.",
    "-h, --help": "Show this message and exit.",
}
# Narrower terminals get shortened summaries, which are left to Typer.
MIN_TERMINAL_COLUMNS = 66
MAX_COLUMNS = 78


class Entry(NamedTuple):
    """Where a command lives, and the line that help shows for it."""

    target: str
    summary: str


COMMANDS = {
    "run": Entry("labcli.commands.run:app", "Train: run a recipe, or one stage of it."),
    "runs": Entry("labcli.commands.runs.app:app", "List, inspect, follow, stop and resume runs."),
    "sweep": Entry("labcli.commands.sweep.app:app", "Run many variants, a few at a time."),
    "track": Entry("labcli.commands.track:app", "Run any script as a tracked run."),
    "data": Entry("labcli.commands.data.app:app", "Download, prepare and look into text."),
    "tok": Entry("labcli.commands.tok.app:app", "Train, compare and look inside tokenizers."),
    "chat": Entry("labcli.commands.chat:app", "Talk to a model that was trained here."),
    "serve": Entry("labcli.commands.serve:app", "Answer over HTTP: OpenAI's API and a web chat."),
    "compare": Entry("labcli.commands.compare:app", "Ask several models the same, side by side."),
    "selfchat": Entry("labcli.commands.selfchat:app", "Let models talk to each other; measure it."),
    "scaling": Entry("labcli.commands.scaling:app", "Fit scaling laws, and project runs."),
    "bench": Entry("labcli.commands.bench.app:app", "Measure speed against installed peers."),
    "tui": Entry("labcli.commands.tui:app", "Open a full-screen view, such as the dashboard."),
    "completion": Entry("labcli.commands.completion:app", "Complete commands and runs with Tab."),
}
EPILOG = (
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 busy, 5 corrupt, 130 interrupted. "
    "stdout carries data, stderr everything else."
)


def help_text(terminal_columns: int) -> str:
    """Return what `labcli --help` shows, as Typer lays it out in a terminal that is not narrow."""
    columns = min(terminal_columns - 2, MAX_COLUMNS)
    summary = "\n\n".join(_indented(part, columns) for part in SUMMARY.strip().split("\n\n"))
    commands = {name: entry.summary for name, entry in COMMANDS.items()}
    return "\n\n".join(
        [
            "Usage: labcli [OPTIONS] COMMAND [ARGS]...",
            summary,
            "Options:\n" + "\n".join(_rows(OPTIONS, columns)),
            "Commands:\n" + "\n".join(_rows(commands, columns)),
            _indented(EPILOG, columns),
        ]
    )


def _indented(text: str, columns: int) -> str:
    return textwrap.fill(text, columns, initial_indent="  ", subsequent_indent="  ")


def _rows(rows: Mapping[str, str], columns: int) -> Iterable[str]:
    width = max(map(len, rows)) + 2
    for name, text in rows.items():
        first, *others = textwrap.wrap(text, columns - width - 2)
        yield f"  {name:{width}}{first}"
        yield from (" " * (width + 2) + line for line in others)
