"""Rows that are read ahead by a thread, so that a training step finds them ready."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

from core.data.packing import Rows
from core.data.tokens import DocumentRef, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    first: int
    count: int
    stride: int

    @property
    def following(self) -> _Ask:
        """The batch that follows: of the next micro-batch or, the same row, of the next step."""
        first = self.first + self.count * self.stride
        return _Ask(first=first, count=self.count, stride=self.stride)

    @property
    def until(self) -> int:
        """The row after the last one."""
        return self.first + self.count * self.stride


class PrefetchedRows(Rows, AbstractContextManager["PrefetchedRows"]):
    """The same rows; while a batch is used, a thread reads the one that follows it.

    Batches are asked for in one rhythm, all of one size and stride. Any other is read when it is
    asked for, as it would be without the thread. Rows that are not here yet are never read ahead.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="rows")
        self._ahead: tuple[_Ask, Future[tuple[Ints, Ints]]] | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def is_growing(self) -> bool:
        """Whether rows may have to be waited for."""
        return self._rows.is_growing

    @property
    def waits_for(self) -> str | None:
        """What has to arrive before there are more rows."""
        return self._rows.waits_for

    def reaches(self, first: int, until: int) -> bool:
        """Return whether rows can be read; earlier ones no longer can."""
        return self._rows.reaches(first, until)

    def holds(self, first: int, until: int) -> bool:
        """Return whether rows can be read at once."""
        return self._rows.holds(first, until)

    def row(self, index: int) -> tuple[Ints, Ints]:
        """Return inputs and targets of a row."""
        return self._rows.row(index)

    def documents(self, index: int) -> tuple[DocumentRef, ...]:
        """Return the stretches of documents that a row is made of."""
        return self._rows.documents(index)

    def epoch_of(self, index: int) -> int:
        """Return the pass, from 0, that a row belongs to."""
        return self._rows.epoch_of(index)

    def count_targets(self, first: int, count: int) -> int:
        """Return how many targets of these rows are counted in the loss."""
        return self._rows.count_targets(first, count)

    def batch(self, first: int, count: int, *, stride: int = 1) -> tuple[Ints, Ints]:
        """Return `count` rows from `first` on, every `stride`-th, and begin to read on."""
        ask = _Ask(first=first, count=count, stride=stride)
        if self._ahead is not None and self._ahead[0] == ask:
            found = self._ahead[1].result()
        else:
            found = self._read(ask)
        after = ask.following
        self._ahead = None
        if self._rows.holds(after.first, after.until):
            self._ahead = (after, self._pool.submit(self._read, after))
        return found

    def _read(self, ask: _Ask) -> tuple[Ints, Ints]:
        return self._rows.batch(ask.first, ask.count, stride=ask.stride)
