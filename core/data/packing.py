"""Best-fit packing of documents into rows, planned from their lengths alone.

The plan is a pure function of (lengths, capacity, seed, epoch): a row has one number over the
whole run, row i belongs to rank i mod W, and the loader's whole state is the number of rows
consumed. Nothing depends on the world size, so any number of ranks continues the same data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from core.data.tokens import TokenSplit
from core.loss import IGNORED
from runs.errors import UsageError

BUFFER_DOCS = 1000
_DOC_BITS = 40
_ANY_DOC = (1 << _DOC_BITS) - 1
_CHUNK_DOCS = 1 << 16
Ints = npt.NDArray[np.int64]


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


def plan_epoch(lengths: Ints, capacity: int, *, seed: int, epoch: int, crop: bool) -> EpochPlan:
    """Return the rows of one pass over documents in a seeded order.

    Each row takes the longest buffered document that still fits. When none fits, it takes the
    start of the shortest one and drops its tail (crop), or stays short and is padded. Longer
    documents than a row are cut on entry: otherwise they would fill the buffer for good.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(lengths))
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


class Rows(ABC):
    """Training rows by their global number; nothing is consumed by reading."""

    @abstractmethod
    def row(self, index: int) -> tuple[Ints, Ints]:
        """Return inputs and targets of a row; uncounted targets are IGNORED."""

    @abstractmethod
    def epoch_of(self, index: int) -> int:
        """Return the pass over the data, from 0, that a row belongs to."""

    @property
    def is_growing(self) -> bool:
        """Whether rows may have to be waited for; the same on every rank, and to the end."""
        return False

    @property
    def waits_for(self) -> str | None:
        """What has to arrive before there are more rows; None when all are there."""
        return None

    def reaches(self, until: int) -> bool:
        """Return whether the rows before number `until` can be read."""
        return True

    def batch(self, first: int, count: int, *, stride: int = 1) -> tuple[Ints, Ints]:
        """Return `count` rows from `first` on, every `stride`-th, as two (count, row_len)."""
        rows = [self.row(first + stride * offset) for offset in range(count)]
        return np.stack([ids for ids, _ in rows]), np.stack([targets for _, targets in rows])

    def count_targets(self, first: int, count: int) -> int:
        """Return how many targets of these rows are counted in the loss."""
        return sum(int((self.row(first + i)[1] != IGNORED).sum()) for i in range(count))


class PackedRows(Rows):
    """Rows of one set of documents, epoch after epoch."""

    def __init__(self, split: TokenSplit, *, row_len: int, pad: int, seed: int, crop: bool) -> None:
        self._split = split
        self._row_len = row_len
        self._pad = pad
        self._seed = seed
        self._crop = crop
        self._plans: list[EpochPlan] = []
        if self.epoch(0).num_rows == 0:
            raise UsageError(
                f"{split.num_tokens:,} tokens do not fill one row of {row_len}; use more text "
                "or a smaller sequence_len"
            )

    def epoch(self, number: int) -> EpochPlan:
        """Return the plan of one pass, made when it is first asked for."""
        while len(self._plans) <= number:
            self._plans.append(
                plan_epoch(
                    self._split.lengths,
                    self._row_len + 1,
                    seed=self._seed,
                    epoch=len(self._plans),
                    crop=self._crop,
                )
            )
        return self._plans[number]

    def epoch_of(self, index: int) -> int:
        """Return the pass, from 0, that a row belongs to."""
        return self._locate(index)[0]

    def _locate(self, index: int) -> tuple[int, int]:
        epoch = 0
        while index >= self.epoch(epoch).num_rows:
            index -= self.epoch(epoch).num_rows
            epoch += 1
        return epoch, index

    def row(self, index: int) -> tuple[Ints, Ints]:
        """Return inputs and targets of a row, each (row_len,); uncounted targets are IGNORED."""
        epoch, index = self._locate(index)
        plan = self.epoch(epoch)
        ids = np.full(self._row_len + 1, self._pad, dtype=np.int64)
        is_counted = np.zeros(self._row_len + 1, dtype=bool)
        at = 0
        for piece in range(plan.row_starts[index], plan.row_starts[index + 1]):
            end = at + int(plan.piece_lengths[piece])
            ids[at:end], is_counted[at:end] = self._split.document(
                int(plan.piece_docs[piece]), end - at
            )
            at = end
        return ids[:-1], np.where(is_counted[1:], ids[1:], IGNORED)


def validation_batches(
    split: TokenSplit, *, row_len: int, pad: int, num_tokens: int, batch_size: int
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the same validation rows every time, at most `num_tokens` tokens of them."""
    rows = PackedRows(split, row_len=row_len, pad=pad, seed=0, crop=True)
    available = min(rows.epoch(0).num_rows, max(1, num_tokens // row_len))
    for first in range(0, available, batch_size):
        yield rows.batch(first, min(batch_size, available - first))
