"""`labcli runs tail`: the events of runs as they come, from this machine and from others."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from labcli import diagnostics
from labcli.following.fleet import Fleet, Told, parse_target
from labcli.following.narrate import event_object, tail_line
from labcli.following.watch import wants_bell
from labcli.options import HELP_NAMES, HomeOption, NumLines, home_of
from labcli.output import emit, emit_json_line

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Runs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN|HOST:RUN",
        help="Name runs here, or on machines that ssh reaches; default: the last one here.",
        show_default=False,
    ),
]
RemoteHome = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="The lab home on the other machines; default: as it is there."
    ),
]


@app.command(context_settings=HELP_NAMES)
def tail(
    ctx: typer.Context,
    runs: Runs = None,
    num_lines: NumLines = 10,
    remote_home: RemoteHome = None,
    json: Annotated[bool, typer.Option("--json", help="Write each event as a JSON line.")] = False,
    home: HomeOption = None,
) -> None:
    """Follow the events of runs until they end.

    box1:RUN is a run on the machine that ssh knows as box1, box1: the newest one there, and local
    the newest one here. Another machine needs sshd and a shell, nothing of labcli; there RUN is an
    id, the start of one, or a slug. $LABCLI_SSH may hold another ssh command.
    """
    lab = home_of(ctx, home)
    targets = [parse_target(word) for word in runs or ["last"]]
    fleet = Fleet(lab, targets, num_past=num_lines, env=os.environ, remote_home=remote_home)
    is_labelled = len(targets) > 1 or targets[0].host is not None
    has_bell = wants_bell(lab)
    for told in fleet.follow():
        if told.error is not None:
            diagnostics.error(str(told.error))
        elif told.remark is not None:
            diagnostics.say(told.remark)
        elif told.item is not None:
            if told.item.record.kind == "alert" and has_bell:
                diagnostics.ring()
            _show(told, json=json, is_labelled=is_labelled)
    if fleet.errors:
        raise typer.Exit(fleet.errors[0].exit_code)


def _show(told: Told, *, json: bool, is_labelled: bool) -> None:
    item = told.item
    if item is None:
        return
    if json:
        origin = {"machine": told.host, "run": told.run} if is_labelled else {}
        emit_json_line({**origin, **event_object(item)})
    elif item.record.kind != "heartbeat":
        origin_text = f"{told.host}:{told.run} " if is_labelled else ""
        emit(origin_text + tail_line(item))
