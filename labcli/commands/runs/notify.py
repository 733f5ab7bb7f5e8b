"""`labcli runs notify`: where alerts are sent, and whether they arrive."""

from __future__ import annotations

import os
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from labcli import diagnostics
from labcli.options import HELP_NAMES, HomeOption, JsonOption, home_of
from labcli.output import emit, emit_json
from labcli.text.figures import ABSENT
from labcli.text.tables import render
from runs.alerting.notify import TARGETS, Message, address, post
from runs.errors import ExitCode, UsageError
from runs.settings import FILE_NAME, NotifySettings, load_settings

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Test = Annotated[bool, typer.Option("--test", help="Send a message to every target now.")]


@app.command(context_settings=HELP_NAMES)
def notify(
    ctx: typer.Context, test: Test = False, json: JsonOption = False, home: HomeOption = None
) -> None:
    """Show where alerts and the ends of runs are sent; --test tries it.

    Set it in settings.toml of the lab home: [notify] with webhook = "https://...",
    ntfy = "https://ntfy.sh/TOPIC", bell = true, severity = "warning"; or by the variables
    LABCLI_NOTIFY_WEBHOOK, LABCLI_NOTIFY_NTFY and LABCLI_NOTIFY_BELL. The supervisor of a run
    sends, never the training; the bell rings in the terminal that watches a run.
    """
    lab = home_of(ctx, home)
    settings = load_settings(lab, os.environ).notify
    if test and not settings.has_targets:
        raise UsageError(
            f"nothing is set to send to; see section [notify] of {lab.root / FILE_NAME}"
        )
    rows = [_row(settings, target, test=test) for target in TARGETS]
    if json:
        emit_json({"targets": rows, "bell": settings.bell, "severity": settings.severity})
    else:
        cells = [[str(row["target"]), row["where"] or ABSENT, row["result"] or ""] for row in rows]
        emit(render(("TARGET", "WHERE", "TEST" if test else ""), cells))
        bell = "rings" if settings.bell else "is silent"
        diagnostics.say(f"sent from severity {settings.severity} on; the bell {bell}")
    if any(row["result"] not in (None, "arrived") for row in rows):
        raise typer.Exit(ExitCode.FAILED)


def _row(settings: NotifySettings, target: Any, *, test: bool) -> dict[str, Any]:
    url = address(settings, target)
    result = None
    if test and url is not None:
        message = Message(
            run_id="", run="labcli", code="test", severity="info", message="this is a test"
        )
        result = post(target, url, message) or "arrived"
    return {"target": target, "where": _shown(url), "result": result}


def _shown(url: str | None) -> str | None:
    """Return an address without what may be a secret in it: its path, query and user."""
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}/..."
