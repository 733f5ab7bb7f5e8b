"""How the bytes of a word become tokens, merge by merge, and the tree of one token. Torch-free.

The encoder joins the two neighbours whose joined bytes are the token of lowest rank, the leftmost
of equals, until no two neighbours are a token together (Sennrich et al. 2016, in the form of
tiktoken, which looks pairs up by their bytes). No merge crosses the border of a token that stays,
so a token is made the same way wherever it occurs.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.bpe import NUM_BYTES, Pair
from core.tokenizer import Tokenizer
from runs.errors import UsageError

# Replaying this much takes about a second and a hundred megabytes.
MAX_WORD_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One merge: data[start:middle] and data[middle:end] become the token `id`, its rank.

    Offsets are bytes from the start of the word.
    """

    start: int
    middle: int
    end: int
    left_id: int
    right_id: int
    id: int

    @property
    def rank(self) -> int:
        """The place of the merge in the order of the vocabulary; low ranks go first."""
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """A token and the two that it is made of; a single byte and a special token have none.

    Equal subtrees are one object, so a token of 64 KB made by doublings has 17 nodes. A token that
    no merge makes out of its own bytes is not reachable: the encoder gives it only where it is a
    whole word.
    """

    id: int
    data: bytes
    left: Node | None = field(default=None, repr=False)
    right: Node | None = field(default=None, repr=False)
    is_special: bool = False
    is_reachable: bool = True

    @property
    def rank(self) -> int:
        """The id again: ranks and ids are one thing here."""
        return self.id


def merge_steps(tokenizer: Tokenizer, word: bytes) -> tuple[Step, ...]:
    """Return every merge of one word, in the order in which the encoder makes them.

    A word that is a token itself is looked up whole; its steps show how merging would go.

    Raises:
        UsageError: the word is longer than MAX_WORD_BYTES.
    """
    if len(word) > MAX_WORD_BYTES:
        raise UsageError(
            f"a word of {len(word):,} bytes is too long to show its merges; the limit is "
            f"{MAX_WORD_BYTES:,}"
        )
    return tuple(_steps(tokenizer.mergeable_ranks, word))


def pieces_after(word: bytes, steps: Sequence[Step]) -> tuple[bytes, ...]:
    """Return the pieces of a word after these first steps; all steps give its tokens."""
    gone = {step.middle for step in steps}
    borders = [offset for offset in range(len(word) + 1) if offset not in gone]
    return tuple(word[start:end] for start, end in itertools.pairwise(borders))


def merge_tree(tokenizer: Tokenizer, token_id: int) -> Node:
    """Return a token with the tokens it is made of.

    The vocabulary's own merges are shown where it has them; otherwise what the encoder does.

    Raises:
        UsageError: the vocabulary has no such id, or what it makes is too long to replay.
    """
    data = tokenizer.token_bytes(token_id)
    if token_id >= tokenizer.vocab_size - tokenizer.num_specials:
        return Node(id=token_id, data=data, is_special=True)
    if tokenizer.merges is not None:
        return _tree_of_merges(tokenizer, tokenizer.merges, token_id)
    return _tree_of_steps(tokenizer, token_id, data)


def walk(root: Node, *, max_nodes: int | None = None) -> Iterator[tuple[Node, int]]:
    """Yield the nodes of a tree with their depths, parents first, left before right.

    A shared subtree comes as often as it occurs; `max_nodes` ends a walk that would be too long.
    """
    stack = [(root, 0)]
    num_seen = 0
    while stack and (max_nodes is None or num_seen < max_nodes):
        node, depth = stack.pop()
        num_seen += 1
        yield node, depth
        if node.right is not None and node.left is not None:
            stack.append((node.right, depth + 1))
            stack.append((node.left, depth + 1))


def _steps(ranks: Mapping[bytes, int], word: bytes) -> Iterator[Step]:
    """Yield the merges of a word; a heap and linked pieces keep long words at n log n."""
    # Piece i reaches to end_of[i] where a piece starts at i, and start_of undoes that.
    end_of = {index: index + 1 for index in range(len(word))}
    start_of = {index + 1: index for index in range(len(word))}
    queue: list[tuple[int, int, int, int]] = []

    def offer(start: int | None, middle: int | None) -> None:
        end = end_of.get(middle) if middle is not None else None
        if start is None or middle is None or end is None:
            return
        rank = ranks.get(word[start:end])
        if rank is not None:
            heapq.heappush(queue, (rank, start, middle, end))

    for index in range(1, len(word)):
        offer(index - 1, index)
    while queue:
        rank, start, middle, end = heapq.heappop(queue)
        if end_of.get(start) != middle or end_of.get(middle) != end:
            continue
        yield Step(
            start=start,
            middle=middle,
            end=end,
            left_id=ranks[word[start:middle]],
            right_id=ranks[word[middle:end]],
            id=rank,
        )
        del end_of[middle]
        end_of[start], start_of[end] = end, start
        offer(start_of.get(start), start)
        offer(start, end)


def _tree_of_merges(tokenizer: Tokenizer, merges: Sequence[Pair], token_id: int) -> Node:
    wanted, found = [token_id], {token_id}
    for index in wanted:
        if index >= NUM_BYTES:
            fresh = set(merges[index - NUM_BYTES]) - found
            found |= fresh
            wanted.extend(fresh)
    nodes: dict[int, Node] = {}
    # Merges use earlier ids only, so parts come before the whole.
    for index in sorted(found):
        pair = merges[index - NUM_BYTES] if index >= NUM_BYTES else None
        nodes[index] = Node(
            id=index,
            data=tokenizer.token_bytes(index),
            left=nodes[pair[0]] if pair else None,
            right=nodes[pair[1]] if pair else None,
        )
    return nodes[token_id]


def _tree_of_steps(tokenizer: Tokenizer, token_id: int, data: bytes) -> Node:
    if len(data) == 1:
        return Node(id=token_id, data=data)
    ranks = tokenizer.mergeable_ranks
    nodes = {ranks[bytes([value])]: bytes([value]) for value in set(data)}
    made = {index: Node(id=index, data=byte) for index, byte in nodes.items()}
    for step in merge_steps(tokenizer, data):
        if step.id not in made:
            made[step.id] = Node(
                id=step.id,
                data=data[step.start : step.end],
                left=made[step.left_id],
                right=made[step.right_id],
            )
    if token_id not in made:
        return Node(id=token_id, data=data, is_reachable=False)
    return made[token_id]
