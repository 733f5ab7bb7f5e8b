"""The rows of the tokenizer benchmark as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labcli.text.figures import ABSENT, figure, size
from labcli.text.tables import render

HEADER = (
    "TASK", "TOOL", "VERSION", "PASS", "CPU S", "WALL S", "MB/S", "PEAK", "NET", "CPU X", "WALL X",
    "RESULT",
)  # fmt: skip
ALIGN = "llllrrrrrrrl"


def render_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one line per row; "X" is the multiple of labcli's time."""
    return render(HEADER, [_cells(row) for row in rows], right=ALIGN)


def _cells(row: Mapping[str, Any]) -> list[str]:
    head = [row["task"], row["tool"], row["version"] or ABSENT, row.get("pass", ABSENT)]
    if "error" in row:
        return [*head, *[ABSENT] * 7, f"failed: {row['error']}"]
    speed = row["bytes"] / 1e6 / row["wall_s"] if row["wall_s"] else None
    return [
        *head,
        figure(row["cpu_s"], 2),
        figure(row["wall_s"], 2),
        figure(speed, 1),
        size(row["peak_memory_bytes"]),
        size(row.get("net_memory_bytes")),
        figure(row.get("ratio_cpu"), 2),
        figure(row.get("ratio_wall"), 2),
        _result(row),
    ]


def _result(row: Mapping[str, Any]) -> str:
    is_equal = row.get("merges_equal", row.get("ids_equal"))
    if is_equal is None:
        return ABSENT
    if is_equal:
        return "equal"
    shared = row.get("tokens_shared")
    return "differs" if shared is None else f"differs, {100 * shared:.2f}% of tokens shared"
