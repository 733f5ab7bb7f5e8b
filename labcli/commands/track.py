"""`labcli track -- CMD...`: run any script as a tracked run."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from labcli import diagnostics
from labcli.following.attached import detached_hints
from labcli.following.passing import Passing
from labcli.options import HomeOption, JsonOption, home_of, lone_command
from labcli.output import emit, emit_json
from runs.create import create_run
from runs.environment import capture_git
from runs.errors import ExitCode, UsageError
from runs.launch.local import launch
from runs.log import read_log
from runs.paths import LabHome, RunPaths
from runs.record import plan_hash
from runs.supervision.control import fold_control
from runs.supervision.policy import Policy
from runs.track.contract import STAGE
from runs.views.run_view import RunView

WORKER = ("-m", "labcli.tracked")

app = lone_command()


class Parse(StrEnum):
    """Whose output lines become metrics."""

    NONE = "none"
    NANOCHAT = "nanochat"


Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- CMD", help="The command line, after two dashes."),
]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="Give the run a name.")]
Tag = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TEXT", help="Tag the run; may be repeated.")
]
ParseOption = Annotated[
    Parse, typer.Option("--parse", help="Take metrics from the lines that the script prints.")
]
RealWandb = Annotated[
    bool, typer.Option("--real-wandb", help="Leave `import wandb` alone: log there, not here.")
]
Retries = Annotated[
    int, typer.Option(metavar="N", min=0, help="Start it again when it is killed, N times at most.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Leave the run in the background.")]


@app.command()
def track(
    ctx: typer.Context,
    command: Command = None,
    name: Name = None,
    tags: Tag = None,
    parse: ParseOption = Parse.NONE,
    real_wandb: RealWandb = False,
    retries: Retries = 0,
    detach: Detach = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Run a script, unmodified, as a tracked run: labcli track -- python train.py --lr 0.1

    Its output, metrics, exit and state are kept; it outlives this terminal. What it tells wandb
    goes into the run: no account, no network, nothing installed. Its output comes to stdout, and
    its exit code is that of this command: 128 + N where signal N ended it.
    """
    if not command:
        raise UsageError("name the command to track: labcli track -- python train.py")
    lab = home_of(ctx, home)
    paths = _create(
        lab, command, name=name, tags=tags or [], parse=parse, real_wandb=real_wandb,
        policy=Policy(retries=retries),
    )  # fmt: skip
    slug = paths.run_dir.name[27:]
    passing = Passing(paths)
    launch(paths)
    diagnostics.say(f"run {slug} in {paths.run_dir}")
    code = 0
    if detach:
        for line in detached_hints(slug):
            diagnostics.say(line)
    else:
        # With --json stdout carries one document: the output of the script is narration then.
        passed = passing.until_end(_aside if json else emit)
        if passed.is_detached:
            diagnostics.say(f"detached; {slug} goes on")
        else:
            code = _exit_code(paths, passed.view)
            diagnostics.say(_closing_line(passed.view))
    if json:
        emit_json({"run_id": paths.run_dir.name[:26], "slug": slug, "path": str(paths.run_dir)})
    elif detach:
        emit(slug)
    raise typer.Exit(code)


def _create(
    lab: LabHome,
    command: list[str],
    *,
    name: str | None,
    tags: list[str],
    parse: Parse,
    real_wandb: bool,
    policy: Policy,
) -> RunPaths:
    config: dict[str, Any] = {
        "argv": command,
        "cwd": str(Path.cwd()),
        "parse": None if parse is Parse.NONE else str(parse),
        "wandb": not real_wandb,
    }
    stage = {
        "stage": STAGE,
        "config": config,
        "config_hash": plan_hash(config),
        "inputs": {},
        "total": None,
    }
    return create_run(
        lab,
        plan={"recipe": STAGE, "preset": "", "stages": [stage]},
        recipe=STAGE,
        preset="",
        name=name,
        tags=tags,
        argv=sys.argv,
        worker=WORKER,
        policy=policy,
        git=capture_git(Path.cwd()),
    )


def _exit_code(paths: RunPaths, view: RunView) -> int:
    if view.state == "finished":
        return ExitCode.OK
    if view.state == "stopped":
        return ExitCode.INTERRUPTED
    ended = fold_control(read_log(paths.control)).stages.get(STAGE)
    if ended is None or ended.exit is None:
        return ExitCode.FAILED
    if ended.exit.signal is not None:
        return 128 + ended.exit.signal
    return ended.exit.code or ExitCode.FAILED


def _aside(line: str) -> None:
    """Write a line of the script beside the data, as the script wrote it."""
    diagnostics.inline(line + "\n")


def _closing_line(view: RunView) -> str:
    why = f": {view.problem}" if view.problem else ""
    return f"{view.slug} {view.state}{why}"
