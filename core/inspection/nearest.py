"""Tokens that look like a given one: other case, other space, prefixes, extensions, small edits.

Works on bytes; the edit distance is Levenshtein's. Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.tokenizer import Tokenizer

Relation = Literal["same", "other space", "other case", "prefix", "extension", "similar"]
# Beyond this an edit distance says little, and its table grows with the square.
MAX_COMPARED_BYTES = 64
Matrix = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class NearToken:
    """A token near another; `distance` is in edited bytes."""

    id: int
    data: bytes
    relation: Relation
    distance: int


def nearest_tokens(tokenizer: Tokenizer, wanted: bytes, limit: int = 10) -> tuple[NearToken, ...]:
    """Return at most `limit` tokens of every relation, each token once, specials aside.

    Prefixes come longest first, extensions shortest first, similar tokens by distance; equals by
    rank. A similar token differs in at most half of its bytes. `wanted` need not be a token.
    """
    tokens = tokenizer.tokens
    ranks = tokenizer.mergeable_ranks
    lengths = tokenizer.token_bytes_lengths()[: len(tokens)]
    found: dict[int, NearToken] = {}

    def keep(relation: Relation, hits: Sequence[tuple[int, int]]) -> None:
        fresh = [(index, distance) for index, distance in hits if index not in found][:limit]
        for index, distance in fresh:
            found[index] = NearToken(
                id=index, data=tokens[index], relation=relation, distance=distance
            )

    keep("same", [(ranks[wanted], 0)] if wanted in ranks else [])
    for relation, form in _forms(wanted):
        if form in ranks:
            keep(relation, [(ranks[form], int(_distances([form], wanted)[0]))])
    longest = min(len(wanted) - 1, int(lengths.max()))
    heads = [wanted[:end] for end in range(longest, 0, -1)]
    keep("prefix", [(ranks[head], len(wanted) - len(head)) for head in heads if head in ranks])
    keep("extension", _extensions(tokens, lengths, wanted, limit + len(found)))
    if len(wanted) <= MAX_COMPARED_BYTES:
        keep("similar", _similar(tokens, lengths, wanted, limit + len(found)))
    return tuple(found.values())


def _forms(wanted: bytes) -> Iterator[tuple[Relation, bytes]]:
    """Yield the same word with and without a leading space, and in other cases."""
    if len(wanted) > MAX_COMPARED_BYTES:
        return
    bare = wanted.removeprefix(b" ")
    yield "other space", bare if bare != wanted else b" " + wanted
    try:
        text = bare.decode()
    except UnicodeDecodeError:
        return
    for form in dict.fromkeys((text.lower(), text.capitalize(), text.upper(), text.swapcase())):
        if form != text:
            yield "other case", form.encode()
            yield "other case", b" " + form.encode()


def _extensions(
    tokens: Sequence[bytes], lengths: NDArray[np.int32], wanted: bytes, limit: int
) -> list[tuple[int, int]]:
    hits = [index for index, token in enumerate(tokens) if token.startswith(wanted)]
    hits = [index for index in hits if lengths[index] > len(wanted)]
    hits.sort(key=lambda index: (int(lengths[index]), index))
    return [(index, int(lengths[index]) - len(wanted)) for index in hits[:limit]]


def _similar(
    tokens: Sequence[bytes], lengths: NDArray[np.int32], wanted: bytes, limit: int
) -> list[tuple[int, int]]:
    """Return (id, distance) of the nearest, by distance and then by rank.

    A distance is at least the difference in length, so lengths are let in step by step until
    those that are still out cannot be nearer than the `limit` found.
    """
    farthest = len(wanted) // 2
    reach = 1
    while True:
        reach = min(reach, farthest)
        ids = np.flatnonzero(np.abs(lengths - len(wanted)) <= reach)
        distances = _distances([tokens[index] for index in ids.tolist()], wanted)
        is_near = distances <= reach
        if reach == farthest or np.count_nonzero(is_near) >= limit:
            break
        reach *= 2
    ids, distances = ids[is_near], distances[is_near]
    order = np.lexsort((ids, distances))[:limit]
    return [(int(ids[index]), int(distances[index])) for index in order]


def _distances(tokens: Sequence[bytes], wanted: bytes) -> NDArray[np.int32]:
    """Return the edit distance of every token to `wanted`, int32 [tokens].

    The table of Wagner and Fischer, one cell at a time for all tokens together.
    """
    lengths = np.array([len(token) for token in tokens], dtype=np.int64)
    longest = int(lengths.max(initial=0))
    # Rows are positions: every operation runs over neighbouring memory.
    chars = _padded(tokens, longest)
    rows = [np.full(len(tokens), column, dtype=np.uint8) for column in range(longest + 1)]
    for number, byte in enumerate(wanted, start=1):
        diagonal, rows[0] = rows[0], np.full(len(tokens), number, dtype=np.uint8)
        for column in range(1, longest + 1):
            best = diagonal + (chars[column - 1] != byte)
            diagonal = rows[column]
            np.minimum(best, np.minimum(diagonal, rows[column - 1]) + np.uint8(1), out=best)
            rows[column] = best
    table = np.stack(rows)
    return table[lengths, np.arange(len(tokens))].astype(np.int32)


def _padded(tokens: Sequence[bytes], longest: int) -> Matrix:
    """Return the bytes of tokens, uint8 [longest, tokens], with zeros after the end of each."""
    rows = b"".join(token.ljust(longest, b"\0") for token in tokens)
    matrix = np.frombuffer(rows, dtype=np.uint8).reshape(len(tokens), longest)
    return np.ascontiguousarray(matrix.T)
