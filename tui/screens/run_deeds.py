"""What the dashboard can do to runs: each deed, its name, and what it tells. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runs import labels
from runs.errors import LabError, UsageError
from runs.lineage import trash
from runs.paths import RunPaths
from runs.supervision import requests
from runs.views.run_view import RunView
from tui.listing.columns import name_of

MAX_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something done to runs one by one; `past` is how its success is told, as in "Stopped"."""

    past: str
    act: Callable[[RunView], None]
    # What else to say once it is done to these runs.
    remark: Callable[[Sequence[RunView]], str] = lambda _: ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a deed; each text is one line, empty where there is nothing to tell."""

    done: str
    refused: str
    touched: tuple[Path, ...]


def carry_out(deed: Deed, runs: Sequence[RunView]) -> Outcome:
    """Do it to every run; what one refuses does not keep it from the others."""
    done: list[RunView] = []
    refused: list[str] = []
    for run in runs:
        try:
            deed.act(run)
        except (LabError, OSError) as error:
            refused.append(" ".join(str(error).split()))
        else:
            done.append(run)
    told = ""
    if done:
        told = " ".join(part for part in (f"{deed.past} {named(done)}.", deed.remark(done)) if part)
    refusals = "; ".join(dict.fromkeys(refused[:MAX_NAMED]))
    if len(refused) > MAX_NAMED:
        refusals += f"; and {len(refused) - MAX_NAMED} more"
    return Outcome(done=told, refused=refusals, touched=tuple(run.path for run in runs))


def named(runs: Sequence[RunView]) -> str:
    """Return the names of a few runs, or how many there are."""
    if len(runs) <= MAX_NAMED:
        return ", ".join(map(name_of, runs))
    return f"{len(runs)} runs"


def stop() -> Deed:
    """Ask for a stop after a checkpoint."""
    return Deed(
        past="Asked for a stop after a checkpoint:",
        act=lambda run: requests.request_stop(run.path),
    )


def resume(pause: Callable[[float], None]) -> Deed:
    """Start runs again; `pause` lets time pass while an old process ends."""

    def act(run: RunView) -> None:
        requests.resume(run.path, pause=pause)

    return Deed(past="Started again:", act=act)


def tag(text: str) -> Deed:
    """Put tags on runs; a word that begins with - takes that tag off."""
    added, removed = tags_in(text)

    def act(run: RunView) -> None:
        for word in added:
            labels.add_tag(run.path, word)
        for word in removed:
            labels.remove_tag(run.path, word)

    words = [*added, *(f"-{word}" for word in removed)]
    return Deed(past=f"Tagged {' '.join(words)}:", act=act)


def tags_in(text: str) -> tuple[list[str], list[str]]:
    """Return the tags to add and to remove, or raise UsageError."""
    words = text.split()
    if not words:
        raise UsageError("type one or more tags; a tag with - before it is taken off")
    added = [word for word in words if not word.startswith("-")]
    removed = [word[1:] for word in words if word.startswith("-")]
    for word in (*added, *removed):
        labels.check_tag(word)
    return added, removed


def note(text: str) -> Deed:
    """Write a note about runs."""
    return Deed(past="Noted:", act=lambda run: labels.add_note(run.path, text))


def check_note(text: str) -> None:
    """Raise UsageError for an empty note."""
    if not text:
        raise UsageError("a note needs text")


def rename(name: str, others: Sequence[RunView]) -> Deed:
    """Give a run another name; `others` may have it already."""

    def remark(runs: Sequence[RunView]) -> str:
        paths = {run.path for run in runs}
        same = [run.slug for run in others if run.name == name and run.path not in paths]
        return f"{', '.join(same)} has this name too." if same else ""

    return Deed(
        past=f"Renamed to {name}:", act=lambda run: labels.rename(run.path, name), remark=remark
    )


def move_to_trash() -> Deed:
    """Move runs to the trash, and name those that were built on them."""

    def act(run: RunView) -> None:
        trash.trash(run.path)

    def remark(runs: Sequence[RunView]) -> str:
        back = f"Back with: labcli runs restore {runs[0].slug}."
        built = trash.children(RunPaths(runs[0].path).home, [run.run_id for run in runs])
        return f"{back} {', '.join(built)} lacks what it takes from it." if built else back

    return Deed(past="In the trash:", act=act, remark=remark)


def find_report(run: RunView) -> Path | None:
    """Return the report of a run, the page of an experiment before the text of a recipe."""
    paths = RunPaths(run.path)
    for stage in reversed(run.stages):
        for name in ("report.html", "report.md"):
            report = paths.artifacts_dir(stage.stage) / name
            if report.is_file():
                return report
    return None
