"""A lineage as a tree of stages and as JSON. Pure: what is shown is decided here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labcli.tables import ABSENT, render, size
from runs.graph import Lineage, Output, StageKey, StageNode, Use

HASH_CHARS = 12
# Of what a stage was made from, the first of these places it in the tree.
_PARENTS = ("checkpoint", "tokenizer", "corpus", "results", "summary")


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
    rows = [row for root in _roots(lineage) for row in _rows(lineage, root, "", "", set())]
    full = render(("STAGE", "STATE", "MADE", "SHA256", "SIZE", "ALSO FROM"), rows, right="llllr")
    if max(map(len, full.splitlines())) > width:
        # What is left out is in the JSON; a tree that wraps can no longer be read.
        full = render(
            ("STAGE", "STATE", "MADE", "SHA256", "SIZE"), [row[:5] for row in rows], right="llllr"
        )
    blocks = [full]
    if lineage.stale:
        blocks.append("\n".join(_why(node) for node in lineage.stale))
        blocks.append("\n".join(["to rebuild, in this order:", *_commands(lineage)]))
    return "\n\n".join(blocks)


def _why(node: StageNode) -> str:
    direct = [_reason(use) for use in node.uses if use.state not in ("ok", "stale")]
    # Where nothing it was made from has changed, the nearest stage that is stale says enough.
    stale = [use for use in node.uses if use.state == "stale"]
    nearest = [use for use in stale if use.name.startswith("checkpoint")] or stale
    reasons = dict.fromkeys(direct or [_reason(use) for use in nearest[-1:]])
    return f"{node.slug}:{node.key.stage} is stale: {'; '.join(reasons)}"


def _reason(use: Use) -> str:
    maker = use.producer.stage if use.producer else "another lab home"
    match use.state:
        case "gone":
            return f"{use.label} of {maker} is gone"
        case "changed":
            return f"{use.label} of {maker} has changed"
        case "remade":
            return f"{use.label} was made again since"
    return f"{maker} is stale"


def _commands(lineage: Lineage) -> Iterator[str]:
    """Yield a command per stage; each takes from the run that the one before it made."""
    nodes = lineage.rebuild
    for index, node in enumerate(nodes):
        comes_from = node.slug if index == 0 else "last"
        has_inputs = bool(node.uses)
        given = f" --from {comes_from}" if has_inputs else ""
        yield f"  labcli run {node.key.stage}{given}"


def _roots(lineage: Lineage) -> list[StageNode]:
    return [node for node in lineage.nodes.values() if _parent(lineage, node) is None]


def _parent(lineage: Lineage, node: StageNode) -> StageKey | None:
    """Return the stage under which this one is drawn."""
    makers: dict[str, StageKey] = {}
    for use in node.uses:
        name = use.name.partition(":")[0]
        is_shown = use.producer in lineage.nodes and use.producer != node.key
        # A report sums up every stage, and comes after the last of them.
        if use.producer is not None and is_shown and (name == "summary" or name not in makers):
            makers[name] = use.producer
    return next((makers[name] for name in _PARENTS if name in makers), None)


def _rows(
    lineage: Lineage, node: StageNode, lead: str, below: str, seen: set[StageKey]
) -> Iterator[list[str]]:
    seen.add(node.key)
    children = [
        child
        for child in lineage.nodes.values()
        if _parent(lineage, child) == node.key and child.key not in seen
    ]
    name = node.key.stage
    if node.key.run_id != lineage.run_id:
        name = f"{node.slug}:{name}"
    state = "stale" if node.is_stale else node.state
    also = ", ".join(_also(lineage, node))
    outputs: Sequence[Output | None] = node.outputs or (None,)
    for index, output in enumerate(outputs):
        first = [f"{lead}{name}", state] if index == 0 else [_bar(below, children), ""]
        yield [*first, *_output_cells(output), also if index == 0 else ""]
    for index, child in enumerate(children):
        is_last = index == len(children) - 1
        branch, rest = ("`- ", "   ") if is_last else ("|- ", "|  ")
        yield from _rows(lineage, child, below + branch, below + rest, seen)


def _bar(below: str, children: Sequence[StageNode]) -> str:
    return f"{below}|" if children else below


def _output_cells(output: Output | None) -> list[str]:
    if output is None:
        return [ABSENT, "", ""]
    mark = "" if output.condition == "ok" else f" ({output.condition})"
    num_bytes = size(output.num_bytes)
    return [output.label + mark, output.sha256[:HASH_CHARS] or ABSENT, num_bytes]


def _also(lineage: Lineage, node: StageNode) -> Iterator[str]:
    parent = _parent(lineage, node)
    for use in node.uses:
        if use.producer != parent and not use.name.startswith("summary"):
            yield f"{use.label} {use.sha256[:HASH_CHARS]}".rstrip()


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
