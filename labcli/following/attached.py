"""The end of an attached run: what is said, what is handed back, and the exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from labcli import diagnostics
from labcli.following.watch import Watch, Watched
from labcli.output import emit, emit_json
from labcli.shown.runs import skills_table, stage_table, total_time_s
from labcli.text.figures import seconds
from runs.errors import ExitCode
from runs.paths import LabHome, RunPaths
from runs.record import EXPERIMENTS
from runs.views.query import load_run
from runs.views.run_view import RunView

AFTER_TRAINING = ('labcli chat -p "What is 27 * 14?"', "labcli tui dashboard")


def go_on(
    run_dir: Path, start: Callable[[Path], object], *, detach: bool, json: bool = False
) -> ExitCode:
    """Start a supervisor for a run that has none, watch it, and return the exit code.

    The name of the run goes to stdout, or with `json` a document; with `detach` at once, and
    nothing is watched.
    """
    watch = Watch(run_dir, skip_past=True)
    start(run_dir)
    slug = load_run(run_dir).slug
    code = ExitCode.OK
    if detach:
        for line in detached_hints(slug):
            diagnostics.say(line)
    else:
        code = watch_to_end(watch)
    emit_json(state_object(load_run(run_dir))) if json else emit(slug)
    return code


def state_object(view: RunView) -> dict[str, Any]:
    """Return the document of `runs stop`, `runs resume` and `runs adopt` with --json."""
    return {"run_id": view.run_id, "slug": view.slug, "state": view.state}


def watch_to_end(watch: Watch, *, next_steps: Sequence[str] | None = None) -> ExitCode:
    """Watch a run, sum it up, and return the exit code that its end stands for.

    `next_steps` are the commands to name when it has finished; None: those after a training.
    """
    watched = watch.until_end()
    for line in closing_lines(watched, next_steps):
        diagnostics.say(line)
    return exit_code(watched)


def exit_code(watched: Watched) -> ExitCode:
    """Return 0 for a finished or detached run, 130 for one that was stopped, else 1."""
    if watched.is_detached or watched.view.state == "finished":
        return ExitCode.OK
    return ExitCode.INTERRUPTED if watched.view.state == "stopped" else ExitCode.FAILED


def closing_lines(watched: Watched, next_steps: Sequence[str] | None = None) -> list[str]:
    """Return the summary of a run and what to type next."""
    view = watched.view
    if watched.is_detached:
        return [f"detached; {view.slug} goes on", *detached_hints(view.slug)]
    lines = ["", stage_table(view)]
    if skills := skills_table(view):
        lines += ["", skills]
    lines += ["", f"{view.slug} {view.state}; stages took {seconds(total_time_s(view))}"]
    return [*lines, *_next_steps(view, next_steps)]


def detached_hints(slug: str) -> list[str]:
    """Return the commands that lead back to a run in the background."""
    hints = {
        f"labcli runs tail {slug}": "follow it",
        f"labcli runs stop {slug}": "stop it after a checkpoint",
        "labcli tui dashboard": "see it live",
    }
    width = max(map(len, hints))
    return [f"  {command.ljust(width)}  {meaning}" for command, meaning in hints.items()]


def open_dashboard(home: LabHome, run_id: str) -> int:
    """Show a run in the dashboard until the person leaves it, and return its exit code."""
    words = ["--home", str(home.root), "tui", "dashboard", "--run", run_id]
    return subprocess.run([sys.executable, "-m", "labcli.app", *words], check=False).returncode


def _next_steps(view: RunView, commands: Sequence[str] | None) -> list[str]:
    if view.state == "finished":
        if commands is None:
            commands = () if view.recipe in EXPERIMENTS else AFTER_TRAINING
        shown = [*commands, f"labcli runs show {view.slug}"]
        return ["next:", *(f"  {command}" for command in shown)]
    lines = [f"{stage.stage}: {stage.error}" for stage in view.stages if stage.error]
    if view.problem:
        lines.append(view.problem)
    if view.state != "stopped":
        lines.append(f"log: {_newest_log(view)}")
    return [*lines, "next:", f"  labcli runs resume {view.slug}"]


def _newest_log(view: RunView) -> str:
    paths = RunPaths(view.path)
    logs = sorted(paths.log_dir(view.stage or "").glob("*.log"))
    return str(logs[-1] if logs else paths.supervisor_log)
