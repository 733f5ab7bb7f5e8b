"""Byte-level BPE as it is defined, slow and readable: the yardstick for core._bpe. Torch-free.

No two merges ever make the same bytes, so a token can be looked up by its bytes, as tiktoken does.
Merging goes from left to right and never crosses a border that is still there, so the ids between
two borders are a function of the bytes between them alone. When bytes are one token somewhere, they
are one token between any two borders from then on: no other pair can be left to make them.
For the same reason, tiktoken's order (the lowest rank among the neighbours, by bytes) gives the
ids of `encode_word`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

NUM_BYTES = 256

Pair = tuple[int, int]


def train_words(word_counts: Mapping[bytes, int], num_merges: int) -> list[Pair]:
    """Return at most `num_merges` merges; merge k makes id 256 + k.

    Every step merges the pair that occurs most often; ties go to the smallest (left, right).
    """
    words = [(list(word), count) for word, count in word_counts.items() if count > 0]
    merges: list[Pair] = []
    while len(merges) < num_merges:
        pair_counts = count_pairs(words)
        if not pair_counts:
            break
        best = min(pair_counts, key=lambda pair: (-pair_counts[pair], pair))
        new_id = NUM_BYTES + len(merges)
        merges.append(best)
        words = [(merge(ids, best, new_id), count) for ids, count in words]
    return merges


def encode_word(word: bytes, merges: Sequence[Pair]) -> list[int]:
    """Return the ids of one word: every merge applied in the order it was learned."""
    ids = list(word)
    for index, pair in enumerate(merges):
        ids = merge(ids, pair, NUM_BYTES + index)
    return ids


def count_pairs(words: Sequence[tuple[list[int], int]]) -> Counter[Pair]:
    """Return how often each pair of neighbours occurs; a run of three holds two pairs."""
    pair_counts: Counter[Pair] = Counter()
    for ids, count in words:
        for pair in itertools.pairwise(ids):
            pair_counts[pair] += count
    return pair_counts


def merge(ids: Sequence[int], pair: Pair, new_id: int) -> list[int]:
    """Return `ids` with every occurrence of `pair` replaced, from left to right."""
    merged: list[int] = []
    index = 0
    while index < len(ids):
        if tuple(ids[index : index + 2]) == pair:
            merged.append(new_id)
            index += 2
        else:
            merged.append(ids[index])
            index += 1
    return merged
