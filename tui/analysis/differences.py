"""What differs between runs, in lines: settings one per stage that is missing, and code. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runs.analysis.diff import Changed, CodeChange
from tui.analysis.words import HASH_CHARS
from tui.shell.format import counted

MAX_FILES = 6


def one_line_per_stage(found: Sequence[Changed]) -> list[Changed]:
    """Return changes with one line for a stage that some runs do not have, unless others differ."""
    by_stage: dict[str, list[Changed]] = {}
    for change in found:
        by_stage.setdefault(change.key.partition(".")[0], []).append(change)
    shown = []
    for stage, changes in by_stage.items():
        has_stage = [any(known) for known in zip(*(c.is_known for c in changes), strict=True)]
        if all(has_stage):
            shown += changes
            continue
        values = tuple("yes" if has else None for has in has_stage)
        shown.append(Changed(key=f"stage {stage}", values=values, is_known=tuple(has_stage)))
        shown += [change for change in changes if _differs_among_known(change)]
    return shown


def code_lines(first: str, other: str, change: CodeChange, *, rest: str) -> list[str]:
    """Return how the code of a run differs; `rest` says where the files not named are."""
    marks = [
        f"{(sha or 'no commit')[:HASH_CHARS]}{' with changes' if is_dirty else ''}"
        for sha, is_dirty in zip(change.commits, change.is_dirty, strict=True)
    ]
    lines = [f"CODE  {first}: {marks[0]}  {other}: {marks[1]}"]
    if change.files:
        lines.append(
            f"{counted(len(change.files), 'file')} and {counted(change.num_hunks, 'hunk')} differ"
        )
    lines += [
        f"  {item.path}  {counted(item.num_hunks, 'hunk')}" for item in change.files[:MAX_FILES]
    ]
    if len(change.files) > MAX_FILES:
        lines.append(f"  and {len(change.files) - MAX_FILES} more; {rest}")
    if change.problem:
        lines.append(f"not compared in full: {change.problem}")
    return lines


def _differs_among_known(change: Changed) -> bool:
    known = [v for v, is_known in zip(change.values, change.is_known, strict=True) if is_known]
    return any(value != known[0] for value in known)
