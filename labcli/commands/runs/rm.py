"""`labcli runs rm`: delete runs so that they can be brought back, or for good."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from labcli import diagnostics
from labcli.options import HomeOption, JsonOption, home_of, lone_command
from labcli.output import emit, emit_json
from labcli.text.figures import size
from runs.errors import NotFound, UsageError
from runs.lineage.trash import children, disk_bytes, purge, trash, trash_home
from runs.paths import LabHome
from runs.refs import resolve_run
from runs.views.query import run_dirs

app = lone_command()

Runs = Annotated[
    list[str] | None, typer.Argument(metavar="RUN", help="Name the runs; several may be given.")
]
Purge = Annotated[
    bool, typer.Option("--purge", help="Delete for good, from the trash too; asks first.")
]
Emptied = Annotated[
    bool, typer.Option("--trash", help="With --purge: delete all that lies in the trash.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --purge.")]


@app.command()
def rm(
    ctx: typer.Context,
    runs: Runs = None,
    for_good: Purge = False,
    emptied: Emptied = False,
    yes: Yes = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Move runs to the trash of the lab home; labcli runs restore brings them back.

    A run whose processes live is never deleted. Disk space is freed by --purge alone.
    """
    lab = home_of(ctx, home)
    chosen = _choose(lab, runs or (), for_good=for_good, emptied=emptied)
    _warn_of_children(lab, chosen, for_good=for_good)
    if for_good and chosen and not yes:
        _confirm(chosen)
    rows = [_delete(run_dir, for_good=for_good) for run_dir in chosen]
    if json:
        emit_json(rows)
        return
    for row in rows:
        emit(str(row["slug"]))
    total = size(float(sum(row["disk_bytes"] for row in rows)))
    if for_good:
        diagnostics.say(f"deleted {_count(rows)} for good; {total} are free again")
    else:
        first = rows[0]["slug"]
        diagnostics.say(f"moved {_count(rows)} of {total} to the trash")
        diagnostics.say(f"  labcli runs restore {first}     brings it back")
        diagnostics.say(f"  labcli runs rm --purge {first}  deletes it for good")


def _choose(lab: LabHome, names: Sequence[str], *, for_good: bool, emptied: bool) -> list[Path]:
    if emptied:
        if not for_good or names:
            raise UsageError("--trash goes with --purge and no run: labcli runs rm --purge --trash")
        return run_dirs(trash_home(lab))
    if not names:
        raise UsageError("name the runs to delete: labcli runs rm RUN")
    found = [_find(lab, name, in_trash=for_good) for name in names]
    return list(dict.fromkeys(found))


def _find(lab: LabHome, name: str, *, in_trash: bool) -> Path:
    try:
        return resolve_run(lab, name)
    except NotFound:
        # `last` is a run that is there: nobody means the newest of those deleted.
        if not in_trash or name == "last" or not run_dirs(trash_home(lab)):
            raise
    return resolve_run(trash_home(lab), name)


def _warn_of_children(lab: LabHome, chosen: Sequence[Path], *, for_good: bool) -> None:
    built = children(lab, [path.name[:26] for path in chosen])
    if built:
        then = "will lack" if for_good else "lack, until it is restored,"
        diagnostics.say(f"{', '.join(built)} {then} what they take from it")


def _confirm(chosen: Sequence[Path]) -> None:
    total = size(float(sum(map(disk_bytes, chosen))))
    names = ", ".join(path.name[27:] for path in chosen)
    if not diagnostics.is_terminal():
        raise UsageError(f"--purge deletes {names} ({total}) for good; to agree, add --yes")
    answer = diagnostics.ask(f"delete {names} ({total}) for good? [y/N] ")
    if answer not in ("y", "yes"):
        raise typer.Abort


def _delete(run_dir: Path, *, for_good: bool) -> dict[str, Any]:
    run_id, slug = run_dir.name[:26], run_dir.name[27:]
    if for_good:
        freed_bytes = purge(run_dir)
        return {"run_id": run_id, "slug": slug, "disk_bytes": freed_bytes, "path": None}
    moved = trash(run_dir)
    return {
        "run_id": run_id,
        "slug": slug,
        "disk_bytes": disk_bytes(moved),
        "path": str(moved),
    }


def _count(rows: Sequence[object]) -> str:
    return "1 run" if len(rows) == 1 else f"{len(rows)} runs"
