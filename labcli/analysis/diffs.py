"""`runs diff`: what differs between runs, for programs and for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labcli.text.cells import cut
from labcli.text.figures import ABSENT
from labcli.text.tables import render
from runs.analysis.diff import Changed, CodeChange
from runs.views.card import RunCard
from tui.analysis.differences import code_lines, one_line_per_stage
from tui.analysis.words import cell

MIN_CELL = 8


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
            blocks.append(
                "\n".join(code_lines(names[0], name, change, rest="--code prints them all"))
            )
    if same:
        blocks.append(f"the same: {', '.join(same)}")
    return "\n\n".join(blocks)


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


def _changed_object(change: Changed) -> dict[str, Any]:
    return {
        "key": change.key,
        "values": list(change.values),
        "is_known": list(change.is_known),
    }
