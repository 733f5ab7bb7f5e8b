"""`labcli runs tag`: put tags on a run, or take them off."""

from __future__ import annotations

from typing import Annotated

import typer

from labcli.options import HomeOption, JsonOption, RunArgument, home_of, lone_command
from labcli.output import emit, emit_json
from labcli.shown.labels import labels_object
from runs.labels import add_tag, check_tag, remove_tag
from runs.refs import resolve_run
from runs.views.query import load_run

app = lone_command()

Tags = Annotated[
    list[str] | None, typer.Argument(metavar="TAG", help="Tags without spaces; none: show them.")
]
Remove = Annotated[bool, typer.Option("--remove", help="Take these tags off instead.")]


@app.command()
def tag(
    ctx: typer.Context,
    run: RunArgument,
    tags: Tags = None,
    remove: Remove = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Tag a run, and show the tags that it has then.

    Changes are added to annotations.jsonl in the run directory; nothing is overwritten.
    """
    run_dir = resolve_run(home_of(ctx, home), run)
    for text in tags or ():
        check_tag(text)
    for text in tags or ():
        (remove_tag if remove else add_tag)(run_dir, text)
    view = load_run(run_dir)
    emit_json(labels_object(view)) if json else emit(" ".join(view.tags))
