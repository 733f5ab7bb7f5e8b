"""Which documents go into which rows, planned from their lengths: by best fit, or end to end.

A plan is a pure function of (lengths, row length, seed, epoch). Torch-free.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

import numpy as np

from core.data.tokens import Ints

Packing = Literal["best-fit", "flat"]
BUFFER_DOCS = 1000
_DOC_BITS = 40
_ANY_DOC = (1 << _DOC_BITS) - 1
_CHUNK_DOCS = 1 << 16


class RowPlan(Protocol):
    """The rows of one pass over documents."""

    @property
    def num_rows(self) -> int:
        """Rows in the pass."""
        ...

    def pieces(self, row: int) -> Iterator[tuple[int, int, int]]:
        """Yield what a row is made of, as (document, first token, number of tokens)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochPlan:
    """Rows of one pass: row r is made of pieces row_starts[r] .. row_starts[r + 1]."""

    row_starts: Ints
    piece_docs: Ints
    piece_lengths: Ints

    @property
    def num_rows(self) -> int:
        """Rows in the pass."""
        return len(self.row_starts) - 1

    def pieces(self, row: int) -> Iterator[tuple[int, int, int]]:
        """Yield what a row is made of: documents from their start on."""
        for piece in range(self.row_starts[row], self.row_starts[row + 1]):
            yield int(self.piece_docs[piece]), 0, int(self.piece_lengths[piece])


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatPlan:
    """Rows of one pass over documents that lie end to end; most begin inside one.

    order: the documents; order[i] begins at token starts[i] of the pass, which ends at starts[-1].
    A row's last token is the first of the next row: it is predicted here and read there.
    """

    order: Ints
    starts: Ints
    row_len: int

    @property
    def num_rows(self) -> int:
        """Rows in the pass; less than one row of tokens is left over."""
        return max(0, int(self.starts[-1]) - 1) // self.row_len

    def pieces(self, row: int) -> Iterator[tuple[int, int, int]]:
        """Yield what a row is made of: the end of a document, whole ones, the start of another."""
        at, end = row * self.row_len, (row + 1) * self.row_len + 1
        place = int(np.searchsorted(self.starts, at, side="right")) - 1
        while at < end:
            stop = min(end, int(self.starts[place + 1]))
            if stop > at:
                yield int(self.order[place]), at - int(self.starts[place]), stop - at
            at, place = stop, place + 1


def plan_rows(
    lengths: Ints, row_len: int, *, seed: int, epoch: int, crop: bool, packing: Packing
) -> RowPlan:
    """Return the rows of one pass over documents in a seeded order; each predicts `row_len`."""
    if packing == "best-fit":
        return plan_epoch(lengths, row_len + 1, seed=seed, epoch=epoch, crop=crop)
    order = _order(lengths, seed, epoch)
    starts = np.concatenate(([0], np.cumsum(lengths[order])))
    return FlatPlan(order=order, starts=starts, row_len=row_len)


def share_dropped(lengths: Ints, row_len: int, *, seed: int) -> float:
    """Return the share of the tokens that best fit drops in the first pass: ends of documents."""
    num_tokens = int(lengths.sum())
    plan = plan_epoch(lengths, row_len + 1, seed=seed, epoch=0, crop=True)
    return 1 - plan.num_rows * (row_len + 1) / num_tokens if num_tokens else 0.0


def _order(lengths: Ints, seed: int, epoch: int) -> Ints:
    return np.random.default_rng((seed, epoch)).permutation(len(lengths))


def plan_epoch(lengths: Ints, capacity: int, *, seed: int, epoch: int, crop: bool) -> EpochPlan:
    """Return the rows of one pass over documents in a seeded order.

    Each row takes the longest buffered document that still fits. When none fits, it takes the
    start of the shortest one and drops its tail (crop), or stays short and is padded. Longer
    documents than a row are cut on entry: otherwise they would fill the buffer for good.
    """
    order = _order(lengths, seed, epoch)
    # Length and document in one whole number: it sorts as the pair does, in a third of the time.
    pairs = np.minimum(lengths[order], capacity) << _DOC_BITS | order
    waiting = _whole_numbers(pairs)
    buffered = sorted(islice(waiting, BUFFER_DOCS))
    starts, docs, sizes = [0], array("q"), array("q")
    while buffered:
        remaining = capacity
        while remaining and buffered:
            at = bisect_right(buffered, remaining << _DOC_BITS | _ANY_DOC) - 1
            if at < 0 and not crop:
                break
            pair = buffered.pop(max(at, 0))
            docs.append(pair & _ANY_DOC)
            sizes.append(min(pair >> _DOC_BITS, remaining))
            remaining -= sizes[-1]
            if (fresh := next(waiting, None)) is not None:
                insort(buffered, fresh)
        if remaining and crop:
            break  # The data ran out inside a row: a cropped plan has full rows only.
        starts.append(len(docs))
    return EpochPlan(
        row_starts=np.array(starts, dtype=np.int64),
        piece_docs=np.array(docs, dtype=np.int64),
        piece_lengths=np.array(sizes, dtype=np.int64),
    )


def _whole_numbers(values: Ints) -> Iterator[int]:
    """Yield the values as Python's numbers, a few at a time: a list of all takes gigabytes."""
    for start in range(0, len(values), _CHUNK_DOCS):
        yield from values[start : start + _CHUNK_DOCS].tolist()
