"""What a clean-up would remove, or has removed, as a table and as JSON. Pure."""

from __future__ import annotations

from typing import Any

from labcli.text.figures import ABSENT, seconds, size
from labcli.text.tables import render
from runs.lineage.gc import Removed
from runs.lineage.retention import Choice, Item


def choice_object(choice: Choice, removed: Removed | None) -> dict[str, Any]:
    """Return the document of `runs gc --json`; `removed` is None for a dry run."""
    left = {} if removed is None else {item.path: why for item, why in removed.left}
    return {
        "dry_run": removed is None,
        "bytes": choice.num_bytes if removed is None else removed.num_bytes,
        "items": [{**_object(item), "problem": left.get(item.path)} for item in choice.going],
        "kept": [{**_object(kept.item), "why": kept.why} for kept in choice.kept],
    }


def choice_text(
    choice: Choice, removed: Removed | None, *, now_s: float, width: int | None = None
) -> str:
    """Return what goes, and what is kept although the rules would let it go."""
    left = {} if removed is None else {item.path: why for item, why in removed.left}
    blocks = []
    if choice.going:
        rows = [[*_cells(item, now_s), left.get(item.path, "")] for item in choice.going]
        rows.append(["total", "", "", size(choice.num_bytes), "", ""])
        header = ["GOES" if removed is None else "WENT", "RUN", "WHAT", "SIZE", "AGE"]
        if left:
            header.append("NOT REMOVED")
        shown = [row[: len(header)] for row in rows]
        blocks.append(render(header, shown, right="lllrr", width=width))
    if choice.kept:
        rows = [[*_cells(kept.item, now_s)[1:4], kept.why] for kept in choice.kept]
        blocks.append(render(("KEPT", "WHAT", "SIZE", "NEEDED BY"), rows, right="llr", width=width))
    return "\n\n".join(blocks)


def _cells(item: Item, now_s: float) -> list[str]:
    num_bytes = size(item.num_bytes)
    return [item.kind, item.run or ABSENT, item.label, num_bytes, seconds(now_s - item.modified_s)]


def _object(item: Item) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "path": str(item.path),
        "label": item.label,
        "run": item.run,
        "bytes": item.num_bytes,
        "modified_s": item.modified_s,
    }
