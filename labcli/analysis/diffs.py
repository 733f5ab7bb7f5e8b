"""`runs diff`: what differs between runs, for programs and for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labcli.analysis.listing import figure_text
from labcli.cells import cut
from labcli.tables import ABSENT, render
from runs.card import RunCard
from runs.diff import Changed, CodeChange

MIN_CELL = 8
HASH_CHARS = 12
MAX_FILES = 6


def diff_object(
    cards: Sequence[RunCard],
    parts: dict[str, list[Changed]],
    code: Sequence[CodeChange],
    *,
    has_text: bool,
) -> dict[str, Any]:
    """Return the document of `runs diff --json`; values stand in the order of the runs."""
    return {
        "runs": [run_object(card) for card in cards],
        **{name: [_changed_object(change) for change in found] for name, found in parts.items()},
        "code": [
            code_object(card, change, has_text=has_text)
            for card, change in zip(cards[1:], code, strict=True)
        ],
    }


def run_object(card: RunCard) -> dict[str, Any]:
    """Return how documents about several runs name each of them."""
    view = card.view
    return {"run_id": view.run_id, "slug": view.slug, "name": view.name, "state": view.state}


def code_object(card: RunCard, change: CodeChange, *, has_text: bool = False) -> dict[str, Any]:
    """Return how the code of a run differs from that of the first one."""
    found: dict[str, Any] = {
        "run_id": card.view.run_id,
        "commits": list(change.commits),
        "is_dirty": list(change.is_dirty),
        "num_files": len(change.files),
        "num_hunks": change.num_hunks,
        "files": [{"path": item.path, "num_hunks": item.num_hunks} for item in change.files],
        "problem": change.problem,
    }
    return {**found, "diff": change.text} if has_text else found


def diff_text(
    names: Sequence[str],
    parts: dict[str, list[Changed]],
    code: Sequence[CodeChange],
    width: int,
) -> str:
    """Return the readable form of `runs diff`, in at most `width` columns."""
    blocks = []
    for title, found in parts.items():
        if found:
            shown = one_line_per_stage(found) if title == "config" else found
            blocks.append(f"{title.upper()}\n{changes_table(shown, names, width)}")
    same = [title for title, found in parts.items() if not found]
    for name, change in zip(names[1:], code, strict=True):
        if change.is_same:
            same.append("code" if len(code) == 1 else f"code of {name}")
        else:
            blocks.append("\n".join(code_lines(names[0], name, change)))
    if same:
        blocks.append(f"the same: {', '.join(same)}")
    return "\n\n".join(blocks)


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


def _differs_among_known(change: Changed) -> bool:
    known = [v for v, is_known in zip(change.values, change.is_known, strict=True) if is_known]
    return any(value != known[0] for value in known)


def changes_table(found: Sequence[Changed], names: Sequence[str], width: int) -> str:
    """Return keys beside their values in each run, cut to `width` columns."""
    key_width = max(len(change.key) for change in found)
    room = max(MIN_CELL, (width - min(key_width, width // 2)) // len(names) - 2)
    rows = [
        [cut(change.key, width // 2), *(cut(text, room) for text in cells(change))]
        for change in found
    ]
    return render(["KEY", *(cut(name, room) for name in names)], rows)


def cells(change: Changed) -> list[str]:
    """Return the values of a change as texts; a dash where a run has none."""
    return [
        cell(value) if is_known else ABSENT
        for value, is_known in zip(change.values, change.is_known, strict=True)
    ]


def cell(value: Any) -> str:
    """Return a value as it is read in a table; of a hash, its beginning."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return figure_text(float(value)) if isinstance(value, float) else str(value)
    text = str(value)
    is_hash = len(text) >= 40 and all(char in "0123456789abcdef" for char in text)
    return text[:HASH_CHARS] if is_hash else text


def code_lines(first: str, other: str, change: CodeChange) -> list[str]:
    """Return how the code of a run differs: commits, counts, files."""
    marks = [
        f"{(sha or 'no commit')[:HASH_CHARS]}{' with changes' if is_dirty else ''}"
        for sha, is_dirty in zip(change.commits, change.is_dirty, strict=True)
    ]
    lines = [f"CODE  {first}: {marks[0]}  {other}: {marks[1]}"]
    if change.files:
        lines.append(
            f"{count(len(change.files), 'file')} and {count(change.num_hunks, 'hunk')} differ"
        )
    lines += [
        f"  {item.path}  {count(item.num_hunks, 'hunk')}" for item in change.files[:MAX_FILES]
    ]
    if len(change.files) > MAX_FILES:
        lines.append(f"  and {len(change.files) - MAX_FILES} more; --code prints them all")
    if change.problem:
        lines.append(f"not compared in full: {change.problem}")
    return lines


def count(num: int, thing: str) -> str:
    """Return a count with its noun: 1 file, 2 files."""
    return f"{num} {thing}{'' if num == 1 else 's'}"


def _changed_object(change: Changed) -> dict[str, Any]:
    return {
        "key": change.key,
        "values": list(change.values),
        "is_known": list(change.is_known),
    }
