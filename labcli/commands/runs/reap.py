"""`labcli runs reap`: end the processes of runs that nobody supervises any more."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli import diagnostics
from labcli.options import HELP_NAMES, HomeOption, JsonOption, home_of
from labcli.output import emit, emit_json
from labcli.text.tables import render
from runs.errors import ExitCode
from runs.supervision.orphans import GRACE_S, Fate, Orphan, end_orphans, find_orphans

COMMAND_WIDTH = 60

app = typer.Typer(rich_markup_mode=None, add_completion=False)

DryRun = Annotated[bool, typer.Option("--dry-run", help="List them and end nothing.")]
Now = Annotated[bool, typer.Option("--now", help="Kill them instead of waiting.")]


@app.command(context_settings=HELP_NAMES)
def reap(
    ctx: typer.Context,
    dry_run: DryRun = False,
    now: Now = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """End processes whose run has no supervisor any more.

    Only processes of this lab home are touched. Each is asked to write a checkpoint and end; what
    is left after two minutes is killed. To keep a run going instead: labcli runs adopt RUN.
    """
    orphans = find_orphans(home_of(ctx, home))
    fates: dict[int, Fate] = {}
    if orphans and not dry_run:
        diagnostics.say(f"ending {len(orphans)} processes; up to {0 if now else GRACE_S:.0f} s")
        fates = end_orphans(orphans, grace_s=0.0 if now else GRACE_S)
    rows = [_row(orphan, fates.get(orphan.identity.pid, "found")) for orphan in orphans]
    if json:
        emit_json(rows)
    elif rows:
        emit(_table(rows))
    else:
        diagnostics.say("every process of a run has its supervisor; nothing to do")
    if "alive" in fates.values():
        raise typer.Exit(ExitCode.FAILED)


def _row(orphan: Orphan, fate: Fate) -> dict[str, object]:
    return {
        "pid": orphan.identity.pid,
        "run_id": orphan.run_id,
        "run": orphan.run,
        "command": orphan.command,
        "result": fate,
    }


def _table(rows: list[dict[str, object]]) -> str:
    cells = [
        [
            str(row["pid"]),
            str(row["run"] or f"{row['run_id']} (no such run)"),
            str(row["result"]),
            str(row["command"])[:COMMAND_WIDTH],
        ]
        for row in rows
    ]
    return render(["pid", "run", "result", "command"], cells, right="r")
