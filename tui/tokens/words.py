"""Tokens, trees and reasons in words, as the commands and the playground say them. Pure.

Every text that is shown goes through `visible`, so what a user pastes cannot drive the terminal.
"""

from __future__ import annotations

from core.inspection.apart import Reason
from core.inspection.merges import Node
from core.inspection.visible import quoted
from tui.shell.glyphs import TreeGlyphs

# A tree of more lines is cut: nobody reads it, and a hostile vocabulary has endless ones.
MAX_TREE_LINES = 200
MAX_BRIEF_BYTES = 60
CUT = "~"


def brief(data: bytes) -> str:
    """Return bytes in quotes, with a mark where long ones were cut."""
    return quoted(data[:MAX_BRIEF_BYTES]) + (CUT if len(data) > MAX_BRIEF_BYTES else "")


def apart_text(reason: Reason) -> str:
    """Return a reason in a few words."""
    if reason.kind == "word border" and reason.joined_id is not None:
        return f"word border, though {brief(reason.joined)} is token {reason.joined_id}"
    if reason.kind != "no such token":
        return reason.kind
    text = f"no token {brief(reason.joined)}"
    lost = reason.lost
    if lost is None:
        return text
    name = f"{brief(lost.data)} ({lost.id})"
    if lost.taken_by is None:
        return f"{text}; {name} has no merges"
    return f"{text}; {name} lost to {brief(lost.taker)} ({lost.taken_by.rank})"


def tree_lines(root: Node, glyphs: TreeGlyphs) -> list[str]:
    """Return a line per merge of a token, the whole first, each with its two parts."""
    if root.left is None or root.right is None:
        return [f"{brief(root.data)}  {root.id}  {_leaf_word(root)}"]
    lines: list[str] = []
    stack: list[tuple[Node, str, str]] = [(root, "", "")]
    while stack and len(lines) < MAX_TREE_LINES:
        node, head, below = stack.pop()
        if node.left is None or node.right is None:
            continue
        parts = f"{brief(node.left.data)} + {brief(node.right.data)}"
        lines.append(f"{head}{brief(node.data)}  {node.id} = {parts}")
        merged = [child for child in (node.left, node.right) if child.left is not None]
        joins = [(glyphs.fork, glyphs.trunk), (glyphs.last, glyphs.gap)][2 - len(merged) :]
        for child, (mark, gap) in reversed(list(zip(merged, joins, strict=True))):
            stack.append((child, below + mark, below + gap))
    if stack:
        lines.append("(cut here: the tree is too large to show)")
    return lines


def _leaf_word(node: Node) -> str:
    if node.is_special:
        return "a special token: no text makes it"
    if not node.is_reachable:
        return "out of reach of merges: only a whole word gives it"
    return f"the byte {node.data.hex()}"
