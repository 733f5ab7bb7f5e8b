"""What --json shows of tokens, trees, merges and reasons: plain objects. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.inspection.apart import Reason, why_apart
from core.inspection.conversation import ConversationToken
from core.inspection.explained import Explained
from core.inspection.merges import Node, Step, merge_steps, merge_tree, pieces_after
from core.inspection.nearest import NearToken
from core.tokenizer import Tokenizer
from tui.tokens.words import apart_text

# Beyond these a tree is cut: JSON readers recurse, and a vocabulary can hold endless trees.
MAX_TREE_DEPTH = 100
MAX_TREE_NODES = 2000
MAX_TREE_BYTES = 1 << 18


def text_object(
    name: str, source: str, tokenizer: Tokenizer, explained: Explained
) -> dict[str, Any]:
    """Return the tokenizer and the counts of a text."""
    return {
        "tokenizer": name,
        "source": source,
        "vocab_size": tokenizer.vocab_size,
        "num_tokens": explained.num_tokens,
        "num_words": explained.num_words,
        "num_bytes": explained.num_bytes,
        "num_chars": len(explained.text),
        "num_distinct": explained.num_distinct,
    }


def token_object(tokenizer: Tokenizer, explained: Explained, index: int) -> dict[str, Any]:
    """Return one token of a text with its tree and why it is apart from the next."""
    token_id = int(explained.ids[index])
    return {
        "index": index,
        **bytes_object(token_id, explained.token(index)),
        "start": int(explained.starts[index]),
        "end": int(explained.ends[index]),
        "word": int(explained.words[index]),
        "is_valid_utf8": not explained.cuts_character[index],
        "tree": tree_object(merge_tree(tokenizer, token_id)),
        "apart": reason_object(why_apart(tokenizer, explained, index)),
    }


def arrays_object(explained: Explained) -> dict[str, Any]:
    """Return all tokens of a long text as lists of numbers."""
    return {
        "ids": explained.ids.tolist(),
        "starts": explained.starts.tolist(),
        "ends": explained.ends.tolist(),
        "words": explained.words.tolist(),
        "cuts_character": explained.cut_indices().tolist(),
    }


def bytes_object(token_id: int, data: bytes) -> dict[str, Any]:
    """Return an id with its bytes; the text has U+FFFD for what is not UTF-8."""
    return {
        "id": token_id,
        "rank": token_id,
        "text": data.decode("utf-8", errors="replace"),
        "bytes": data.hex(),
    }


def tree_object(root: Node) -> dict[str, Any]:
    """Return a tree as nested objects; a node whose parts are left out says so with "cut"."""
    whole = _node_object(root)
    waiting = [(root, whole, 0)]
    num_nodes, num_bytes = 1, len(root.data)
    # Breadth first, so that what a large tree loses is its lower levels.
    for node, shown, depth in waiting:
        if node.left is None or node.right is None:
            continue
        is_full = num_nodes >= MAX_TREE_NODES or num_bytes >= MAX_TREE_BYTES
        if depth == MAX_TREE_DEPTH or is_full:
            shown["cut"] = True
            continue
        for side, child in (("left", node.left), ("right", node.right)):
            shown[side] = _node_object(child)
            waiting.append((child, shown[side], depth + 1))
            num_nodes += 1
            num_bytes += len(child.data)
    return whole


def _node_object(node: Node) -> dict[str, Any]:
    shown = bytes_object(node.id, node.data)
    if node.is_special:
        shown["is_special"] = True
    if not node.is_reachable:
        shown["is_reachable"] = False
    return shown


def reason_object(reason: Reason) -> dict[str, Any]:
    """Return why two neighbours are apart; "explanation" says it in words."""
    lost = reason.lost
    return {
        "kind": reason.kind,
        "explanation": apart_text(reason),
        "joined": reason.joined.hex() or None,
        "joined_id": reason.joined_id,
        "lost": lost
        and {
            **bytes_object(lost.id, lost.data),
            "start": lost.start,
            "end": lost.end,
            "taken_by": lost.taken_by and bytes_object(lost.taken_by.id, lost.taker),
        },
    }


def steps_object(tokenizer: Tokenizer, word: bytes) -> dict[str, Any]:
    """Return a word with every merge of it, in order."""
    steps = merge_steps(tokenizer, word)
    return {
        "text": word.decode("utf-8", errors="replace"),
        "bytes": word.hex(),
        "token_id": tokenizer.mergeable_ranks.get(word),
        "steps": [_step_object(word, steps, number) for number in range(len(steps))],
    }


def _step_object(word: bytes, steps: Sequence[Step], number: int) -> dict[str, Any]:
    step = steps[number]
    return {
        "rank": step.rank,
        "start": step.start,
        "middle": step.middle,
        "end": step.end,
        "left_id": step.left_id,
        "right_id": step.right_id,
        "pieces": [piece.hex() for piece in pieces_after(word, steps[: number + 1])],
    }


def near_objects(near: Sequence[NearToken]) -> list[dict[str, Any]]:
    """Return the tokens near another."""
    return [
        {
            **bytes_object(item.id, item.data),
            "relation": item.relation,
            "distance": item.distance,
        }
        for item in near
    ]


def conversation_object(name: str, rows: Sequence[ConversationToken]) -> dict[str, Any]:
    """Return a conversation token by token, with its totals."""
    return {
        "tokenizer": name,
        "num_tokens": len(rows),
        "num_supervised": sum(row.mask for row in rows),
        "tokens": [
            {
                "index": row.index,
                **bytes_object(row.id, row.data),
                "is_special": row.is_special,
                "mask": row.mask,
                "message": row.message,
                "role": row.role,
                "part": row.part,
            }
            for row in rows
        ],
    }
