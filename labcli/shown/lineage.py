"""A lineage as a tree of stages and as JSON. Pure: what is shown is decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labcli.text.figures import ABSENT, size
from labcli.text.tables import render
from runs.lineage.graph import Lineage, Output, StageNode, Use
from tui.analysis.lineage_tree import TreeRow, rebuild_commands, tree_rows, why_stale
from tui.analysis.words import HASH_CHARS
from tui.shell.glyphs import TreeGlyphs

_BRANCHES = TreeGlyphs(fork="|- ", last="`- ", trunk="|  ", gap="   ")


def lineage_object(lineage: Lineage) -> dict[str, Any]:
    """Return the document of `runs lineage --json`."""
    return {
        "run_id": lineage.run_id,
        "slug": lineage.slug,
        "is_stale": bool(lineage.stale),
        "stages": [_node_object(node) for node in lineage.nodes.values()],
        "rebuild": [_place(node) for node in lineage.rebuild],
    }


def lineage_text(lineage: Lineage, *, width: int) -> str:
    """Return the tree of `runs lineage`, and what to run again where something is stale."""
    rows = [_cells(row) for row in tree_rows(lineage, _BRANCHES)]
    blocks = [_table(rows, width)]
    if lineage.stale:
        blocks.append("\n".join(why_stale(node) for node in lineage.stale))
        commands = (f"  {line}" for line in rebuild_commands(lineage))
        blocks.append("\n".join(["to rebuild, in this order:", *commands]))
    return "\n\n".join(blocks)


def _table(rows: Sequence[Sequence[str]], width: int) -> str:
    header = ("STAGE", "STATE", "MADE", "SIZE", "SHA256", "ALSO FROM")
    table = render(header, rows, right="lllr")
    # What is left out is in the JSON; a tree that wraps can no longer be read.
    for num_columns in (5, 4):
        if max(map(len, table.splitlines())) > width:
            table = render(header[:num_columns], [row[:num_columns] for row in rows], right="lllr")
    return table


def _cells(row: TreeRow) -> list[str]:
    return [f"{row.lead}{row.name}", row.state, *_output_cells(row.output), ", ".join(row.also)]


def _output_cells(output: Output | None) -> list[str]:
    if output is None:
        return [ABSENT, "", ""]
    mark = "" if output.condition == "ok" else f" ({output.condition})"
    num_bytes = size(output.num_bytes)
    return [output.label + mark, num_bytes, output.sha256[:HASH_CHARS] or ABSENT]


def _place(node: StageNode) -> dict[str, str]:
    return {"run_id": node.key.run_id, "run": node.slug, "stage": node.key.stage}


def _node_object(node: StageNode) -> dict[str, Any]:
    return {
        **_place(node),
        "state": node.state,
        "is_stale": node.is_stale,
        "inputs": [_use_object(use) for use in node.uses],
        "outputs": [_output_object(output) for output in node.outputs],
    }


def _use_object(use: Use) -> dict[str, Any]:
    made_by: Mapping[str, str] | None = None
    if use.producer is not None:
        made_by = {"run_id": use.producer.run_id, "stage": use.producer.stage}
    return {
        "name": use.name,
        "label": use.label,
        "sha256": use.sha256 or None,
        "state": use.state,
        "made_by": made_by,
    }


def _output_object(output: Output) -> dict[str, Any]:
    return {
        "label": output.label,
        "path": str(output.path),
        "sha256": output.sha256 or None,
        "bytes": output.num_bytes,
        "condition": output.condition,
    }
