"""`labcli runs gc`: remove what no run needs any more."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.options import HELP_NAMES, HomeOption, JsonOption, home_of
from labcli.output import emit, emit_json, stdout_columns
from labcli.shown.gc import choice_object, choice_text
from labcli.text.figures import size
from runs.errors import ExitCode, UsageError
from runs.lineage.gc import plan_removal, remove
from runs.lineage.retention import KeepRules, parse_age, parse_size

app = typer.Typer(rich_markup_mode=None, add_completion=False)

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="List what would go (the default without --yes).")
]
Yes = Annotated[bool, typer.Option("--yes", help="Remove it.")]
KeepLast = Annotated[
    int | None,
    typer.Option(metavar="N", help="Keep the N newest checkpoints of each stage."),
]
KeepBest = Annotated[
    bool, typer.Option("--keep-best", help="Keep the one with the lowest bits per byte, too.")
]
OlderThan = Annotated[
    str | None, typer.Option(metavar="AGE", help="Remove only what is older, such as 30d.")
]
MaxBytes = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Remove the oldest until no more is used, such as 50G."),
]


@app.command(context_settings=HELP_NAMES)
def gc(
    ctx: typer.Context,
    dry_run: DryRun = False,
    yes: Yes = False,
    keep_last: KeepLast = None,
    keep_best: KeepBest = False,
    older_than: OlderThan = None,
    max_bytes: MaxBytes = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List what no run needs any more; with --yes, remove it.

    Half-built directories, token caches, downloads and snapshots that no run refers to, compiled
    kernels that a week has not added to, and runs that were removed 30 days ago. Checkpoints too,
    once a --keep, --older-than or --max-bytes option says which; never the newest of a stage, nor
    one that another run was built on, that a vote was given for, or whose run is at work or carries
    the tag "keep".
    """
    if dry_run and yes:
        raise UsageError("--dry-run and --yes exclude each other; give one of them")
    rules = KeepRules(
        keep_last=keep_last,
        keep_best=keep_best,
        older_than_s=None if older_than is None else parse_age(older_than),
        max_bytes=None if max_bytes is None else parse_size(max_bytes),
    )
    lab = home_of(ctx, home)
    removed = None
    if yes:
        choice, removed = remove(lab, rules)
    else:
        choice = plan_removal(lab, rules)
    if json:
        emit_json(choice_object(choice, removed))
    elif choice.going or choice.kept:
        emit(choice_text(choice, removed, now_s=time.time(), width=stdout_columns()))
    if removed is None:
        diagnostics.say(
            f"{size(choice.num_bytes)} would be freed; to remove it add --yes"
            if choice.going
            else "nothing to remove"
        )
        return
    diagnostics.say(f"{size(removed.num_bytes)} freed")
    if removed.left:
        raise typer.Exit(ExitCode.FAILED)
