"""A lineage as the lines of a tree, why stages are stale, and what to run again. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runs.lineage.graph import Lineage, Output, StageKey, StageNode, Use
from tui.analysis.words import HASH_CHARS
from tui.shell.glyphs import TreeGlyphs

# Of what a stage was made from, the first of these places it in the tree.
_PARENTS = ("checkpoint", "tokenizer", "corpus", "results", "summary")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRow:
    """One line of the tree: a stage with the first thing that it made, or a further one.

    `lead` draws the branches; `also` names what it was made from besides its place in the tree.
    """

    node: StageNode
    lead: str
    name: str
    output: Output | None
    is_first: bool
    also: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """The state of the stage, where this is its first line."""
        if not self.is_first:
            return ""
        return "stale" if self.node.is_stale else self.node.state


def tree_rows(lineage: Lineage, glyphs: TreeGlyphs) -> list[TreeRow]:
    """Return the lines of a lineage as a tree, roots first."""
    seen: set[StageKey] = set()
    roots = [node for node in lineage.nodes.values() if _parent(lineage, node) is None]
    return [row for root in roots for row in _rows(lineage, root, "", "", seen, glyphs)]


def _rows(
    lineage: Lineage,
    node: StageNode,
    lead: str,
    below: str,
    seen: set[StageKey],
    glyphs: TreeGlyphs,
) -> Iterator[TreeRow]:
    seen.add(node.key)
    children = [
        child
        for child in lineage.nodes.values()
        if _parent(lineage, child) == node.key and child.key not in seen
    ]
    is_own = node.key.run_id == lineage.run_id
    name = node.key.stage if is_own else f"{node.slug}:{node.key.stage}"
    outputs: Sequence[Output | None] = node.outputs or (None,)
    for index, output in enumerate(outputs):
        is_first = index == 0
        yield TreeRow(
            node=node,
            lead=lead if is_first else below + (glyphs.trunk.rstrip() if children else ""),
            name=name if is_first else "",
            output=output,
            is_first=is_first,
            also=tuple(_also(lineage, node)) if is_first else (),
        )
    for index, child in enumerate(children):
        is_last = index == len(children) - 1
        branch, rest = (glyphs.last, glyphs.gap) if is_last else (glyphs.fork, glyphs.trunk)
        yield from _rows(lineage, child, below + branch, below + rest, seen, glyphs)


def why_stale(node: StageNode) -> str:
    """Return why a stage is stale, in one sentence."""
    direct = [_reason(use) for use in node.uses if use.state not in ("ok", "stale")]
    # Where nothing it was made from has changed, the nearest stage that is stale says enough.
    stale = [use for use in node.uses if use.state == "stale"]
    nearest = [use for use in stale if use.name.startswith("checkpoint")] or stale
    reasons = dict.fromkeys(direct or [_reason(use) for use in nearest[-1:]])
    return f"{node.slug}:{node.key.stage} is stale: {'; '.join(reasons)}"


def rebuild_commands(lineage: Lineage) -> Iterator[str]:
    """Yield a command per stage; each takes from the run that the one before it made."""
    nodes = lineage.rebuild
    for index, node in enumerate(nodes):
        comes_from = node.slug if index == 0 else "last"
        has_inputs = bool(node.uses)
        given = f" --from {comes_from}" if has_inputs else ""
        yield f"labcli run {node.key.stage}{given}"


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


def _also(lineage: Lineage, node: StageNode) -> Iterator[str]:
    parent = _parent(lineage, node)
    for use in node.uses:
        if use.producer != parent and not use.name.startswith("summary"):
            yield f"{use.label} {use.sha256[:HASH_CHARS]}".rstrip()
