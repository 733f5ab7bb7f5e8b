"""Rows of two sources, interleaved in a fixed rhythm."""

from __future__ import annotations

from core.data.packing import Rows
from core.data.tokens import DocumentRef, Ints


class MixedRows(Rows):
    """Rows of `main`, with one row of `other` as the last of every `every` rows."""

    def __init__(self, main: Rows, other: Rows, *, every: int) -> None:
        self._main = main
        self._other = other
        self._every = every

    def row(self, index: int) -> tuple[Ints, Ints]:
        """Return inputs and targets of a row of whichever source has its turn."""
        rows, inside = self._locate(index)
        return rows.row(inside)

    def documents(self, index: int) -> tuple[DocumentRef, ...]:
        """Return what a row of whichever source has its turn is made of."""
        rows, inside = self._locate(index)
        return rows.documents(inside)

    def _locate(self, index: int) -> tuple[Rows, int]:
        block, at = divmod(index, self._every)
        if at == self._every - 1:
            return self._other, block
        return self._main, block * (self._every - 1) + at

    def epoch_of(self, index: int) -> int:
        """Return the pass over the main source that a row falls into."""
        block, at = divmod(index, self._every)
        return self._main.epoch_of(block * (self._every - 1) + min(at, self._every - 2))
