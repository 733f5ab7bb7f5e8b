"""Merges as pairs of bytes, which do not depend on how a tool numbers the bytes. Torch-free."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from core.bpe import NUM_BYTES, Pair

BytesPair = tuple[bytes, bytes]


def from_ids(merges: Iterable[Pair]) -> list[BytesPair]:
    """Return merges of ids, where id 256 + k is what merge k made, as merges of bytes."""
    tokens = [bytes([value]) for value in range(NUM_BYTES)]
    pairs = []
    for left, right in merges:
        pairs.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    return pairs


def digest(merges: Iterable[BytesPair]) -> str:
    """Return the sha256 of merges in order: each half as its length (u32) and its bytes."""
    total = hashlib.sha256()
    for pair in merges:
        for half in pair:
            total.update(len(half).to_bytes(4, "little") + half)
    return total.hexdigest()
