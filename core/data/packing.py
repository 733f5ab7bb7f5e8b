"""Training rows by their number: documents put together as a plan of their lengths says.

A row has one number over the whole run, row i belongs to rank i mod W, and the loader's whole
state is the number of rows consumed. Nothing depends on the world size, so any number of ranks
continues the same data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.data.row_plans import Packing, RowPlan, plan_rows
from core.data.tokens import DocumentRef, Ints, TokenSplit
from core.loss import IGNORED
from runs.errors import UsageError


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

    def reaches(self, first: int, until: int) -> bool:
        """Return whether rows `first` to `until` - 1 can be read; earlier ones no longer can."""
        return True

    def holds(self, first: int, until: int) -> bool:
        """Return whether rows can be read at once; asking changes nothing."""
        return True

    def documents(self, index: int) -> tuple[DocumentRef, ...]:
        """Return the stretches of documents that a row is made of, in their order."""
        return ()

    def batch(self, first: int, count: int, *, stride: int = 1) -> tuple[Ints, Ints]:
        """Return `count` rows from `first` on, every `stride`-th, as two (count, row_len)."""
        rows = [self.row(first + stride * offset) for offset in range(count)]
        return np.stack([ids for ids, _ in rows]), np.stack([targets for _, targets in rows])

    def count_targets(self, first: int, count: int) -> int:
        """Return how many targets of these rows are counted in the loss."""
        return sum(int((self.row(first + i)[1] != IGNORED).sum()) for i in range(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsOfPass:
    """The rows of one pass over documents, by their number in that pass."""

    split: TokenSplit
    plan: RowPlan
    row_len: int
    pad: int

    def row(self, index: int) -> tuple[Ints, Ints]:
        """Return inputs and targets of a row, each (row_len,); uncounted targets are IGNORED."""
        ids = np.full(self.row_len + 1, self.pad, dtype=np.int64)
        is_counted = np.zeros(self.row_len + 1, dtype=bool)
        at = 0
        for document, start, length in self.plan.pieces(index):
            end = at + length
            ids[at:end], is_counted[at:end] = self.split.document(document, length, start)
            at = end
        return ids[:-1], np.where(is_counted[1:], ids[1:], IGNORED)

    def documents(self, index: int) -> tuple[DocumentRef, ...]:
        """Return the stretches of documents that a row is made of."""
        return tuple(
            self.split.ref(document, length, start)
            for document, start, length in self.plan.pieces(index)
        )


class PackedRows(Rows):
    """Rows of one set of documents, epoch after epoch."""

    def __init__(
        self,
        split: TokenSplit,
        *,
        row_len: int,
        pad: int,
        seed: int,
        crop: bool,
        packing: Packing = "best-fit",
    ) -> None:
        self._split = split
        self._row_len = row_len
        self._pad = pad
        self._seed = seed
        self._crop = crop
        self._packing: Packing = packing
        self._plans: dict[int, RowPlan] = {}
        if self.epoch(0).num_rows == 0:
            raise too_little_text(split.num_tokens, row_len)

    def epoch(self, number: int) -> RowPlan:
        """Return the plan of one pass, made when it is first asked for."""
        if number not in self._plans:
            self._plans[number] = plan_rows(
                self._split.lengths,
                self._row_len,
                seed=self._seed,
                epoch=number,
                crop=self._crop,
                packing=self._packing,
            )
        return self._plans[number]

    def epoch_of(self, index: int) -> int:
        """Return the pass, from 0, that a row belongs to."""
        return self._locate(index)[0]

    def row(self, index: int) -> tuple[Ints, Ints]:
        """Return inputs and targets of a row, each (row_len,); uncounted targets are IGNORED."""
        epoch, inside = self._locate(index)
        return self._pass(epoch).row(inside)

    def documents(self, index: int) -> tuple[DocumentRef, ...]:
        """Return the stretches of documents that a row is made of."""
        epoch, inside = self._locate(index)
        return self._pass(epoch).documents(inside)

    def count_targets(self, first: int, count: int) -> int:
        """Return how many targets are counted: of full rows of text, all are."""
        if self._split.mask is None and self._crop:
            return count * self._row_len
        return super().count_targets(first, count)

    def _pass(self, epoch: int) -> RowsOfPass:
        return RowsOfPass(
            split=self._split, plan=self.epoch(epoch), row_len=self._row_len, pad=self._pad
        )

    def _locate(self, index: int) -> tuple[int, int]:
        epoch = 0
        while index >= self.epoch(epoch).num_rows:
            index -= self.epoch(epoch).num_rows
            epoch += 1
        return epoch, index


def too_little_text(num_tokens: int, row_len: int) -> UsageError:
    """Return the error for text that does not fill a row."""
    return UsageError(
        f"{num_tokens:,} tokens do not fill one row of {row_len}; use more text "
        "or a smaller sequence_len"
    )


def validation_batches(
    split: TokenSplit, *, row_len: int, pad: int, num_tokens: int, batch_size: int
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the same validation rows every time, at most `num_tokens` tokens of them.

    Text that does not fill one row is one row all the same, with padding behind it.
    """
    is_enough = split.num_tokens > row_len
    rows = PackedRows(split, row_len=row_len, pad=pad, seed=0, crop=is_enough)
    available = min(rows.epoch(0).num_rows, max(1, num_tokens // row_len))
    for first in range(0, available, batch_size):
        yield rows.batch(first, min(batch_size, available - first))
