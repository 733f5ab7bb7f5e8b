"""Merges found again from a vocabulary of tokens: which pair makes each token. Torch-free.

Why one pair per token is enough. Merging always takes the lowest rank in sight, so what happens
between two borders that are still there depends on the bytes between them alone. The bytes of a
token use up the ranks below its own first; when exactly two ids are left then, those two, and
never another pair, make this token in any text.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence

from core.bpe import NUM_BYTES, Pair


def making_pairs(tokens: Sequence[bytes]) -> list[Pair | None]:
    """Return the pair of ids that makes each token; None for bytes and what no pair makes.

    Args:
        tokens: the bytes of every token, in rank order.
    """
    ranks = {token: rank for rank, token in enumerate(tokens)}
    pairs: list[Pair | None] = []
    for rank, token in enumerate(tokens):
        parts = _merged_below(token, ranks, rank) if len(token) > 1 else []
        pairs.append((parts[0], parts[1]) if len(parts) == 2 else None)
    return pairs


def merges_of(tokens: Sequence[bytes]) -> list[Pair] | None:
    """Return the merges that give exactly these tokens: bytes in order, each other by a pair.

    None when the vocabulary is not of that form.
    """
    if list(tokens[:NUM_BYTES]) != [bytes([value]) for value in range(NUM_BYTES)]:
        return None
    pairs = [pair for pair in making_pairs(tokens)[NUM_BYTES:] if pair is not None]
    return pairs if len(pairs) == len(tokens) - NUM_BYTES else None


def splits_of(token: bytes, ranks: Mapping[bytes, int]) -> Iterator[Pair]:
    """Yield every way to cut a token into two tokens."""
    for cut in range(1, len(token)):
        left, right = ranks.get(token[:cut]), ranks.get(token[cut:])
        if left is not None and right is not None:
            yield left, right


def _merged_below(token: bytes, ranks: Mapping[bytes, int], limit: int) -> list[int]:
    """Return the ids that a token's bytes become when only ranks below `limit` may merge.

    A heap of candidates over a linked list: a token of half a million equal bytes takes a second.
    """
    starts = list(range(len(token)))
    following = [*starts[1:], len(token), len(token)]
    preceding = [-1, *starts]
    heap = [
        (rank, start)
        for start in starts[:-1]
        if (rank := ranks.get(token[start : start + 2], limit)) < limit
    ]
    heapq.heapify(heap)

    def pair_rank(start: int) -> int:
        middle = following[start]
        if middle == len(token):
            return limit
        return ranks.get(token[start : following[middle]], limit)

    while heap:
        rank, start = heapq.heappop(heap)
        # An entry is stale when either half has been merged away since it was pushed.
        if following[start] == -1 or pair_rank(start) != rank:
            continue
        middle = following[start]
        end = following[middle]
        following[start], following[middle] = end, -1
        preceding[end] = start
        for changed in (start, preceding[start]):
            if changed >= 0 and (fresh := pair_rank(changed)) < limit:
                heapq.heappush(heap, (fresh, changed))
    ids = []
    start = 0
    while start < len(token):
        ids.append(ranks[token[start : following[start]]])
        start = following[start]
    return ids
