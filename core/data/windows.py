"""Whole validation documents as overlapping windows: the same bytes for any vocabulary.

Packed rows drop the tails of documents, other ones for every vocabulary and row length. Here
every token after the bos of a document is a target exactly once. Shapes: B rows, T positions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from core.data.tokens import TokenSplit
from core.loss import IGNORED

Ints = npt.NDArray[np.int64]

# A device's math library keeps kernels and buffers for every shape that it has met: with windows
# as long as they happen to be, the first measurement took hundreds of MB of a CPU's memory.
LENGTH_STEP = 64


def count_documents(split: TokenSplit, token_bytes_V: Ints, num_bytes: int) -> int:
    """Return how many documents, from the first on, hold at least `num_bytes` bytes of text."""
    for index in range(len(split.lengths)):
        ids, _ = split.document(index, int(split.lengths[index]))
        num_bytes -= int(token_bytes_V[ids].sum())
        if num_bytes <= 0:
            return index + 1
    return len(split.lengths)


def window_batches(
    split: TokenSplit, *, num_documents: int, row_len: int, pad: int, batch_size: int
) -> Iterator[tuple[Ints, Ints]]:
    """Yield inputs and targets, each (B, T), of the first documents, shortest windows first.

    T is that of the longest window of a batch, rounded up to LENGTH_STEP and at most `row_len`; a
    batch holds as many tokens as `batch_size` full rows at most.
    """
    windows = [
        window for index in range(num_documents) for window in _windows(split, index, row_len)
    ]
    windows.sort(key=lambda window: len(window[0]))
    first = 0
    while first < len(windows):
        last = first
        while last < len(windows):
            if (last + 1 - first) * _padded(windows[last], row_len) > batch_size * row_len:
                break
            last += 1
        yield _stacked(windows[first:last], _padded(windows[last - 1], row_len), pad)
        first = last


def _padded(window: tuple[Ints, Ints], row_len: int) -> int:
    return min(row_len, -(-len(window[0]) // LENGTH_STEP) * LENGTH_STEP)


def _windows(split: TokenSplit, index: int, row_len: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield (inputs, targets) of a document; all but the first window start with half a context."""
    ids = split.document(index, int(split.lengths[index]))[0].astype(np.int64)
    start, num_seen = 0, 1
    while num_seen < len(ids):
        end = min(len(ids), start + row_len + 1)
        targets = ids[start + 1 : end].copy()
        targets[: num_seen - start - 1] = IGNORED
        yield ids[start : end - 1], targets
        start, num_seen = end - 1 - row_len // 2, end


def _stacked(windows: list[tuple[Ints, Ints]], length: int, pad: int) -> tuple[Ints, Ints]:
    shape = len(windows), length
    ids_BT, targets_BT = np.full(shape, pad), np.full(shape, IGNORED)
    for row, (ids, targets) in enumerate(windows):
        ids_BT[row, : len(ids)] = ids
        targets_BT[row, : len(targets)] = targets
    return ids_BT, targets_BT
