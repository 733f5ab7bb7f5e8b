"""Training rows as the reference makes them: tokenised on the way, packed by a linear scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from core.tokenizer import Tokenizer

BUFFER_DOCS = 1000
REFILL_DOCS = 128
Ints = npt.NDArray[np.int64]


class ReferenceRows:
    """Best-fit rows of documents without end, each document tokenised when it is needed."""

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, *, row_len: int) -> None:
        self._texts = texts
        self._tokenizer = tokenizer
        self._capacity = row_len + 1
        self._buffer: list[list[int]] = []
        self._waiting = self._batches()

    def batch(self, count: int) -> tuple[Ints, Ints]:
        """Return inputs and targets of the next rows, each (count, row_len)."""
        rows = np.array([self._row() for _ in range(count)], dtype=np.int64)
        return rows[:, :-1].copy(), rows[:, 1:].copy()

    def _batches(self) -> Iterator[list[list[int]]]:
        while True:
            for start in range(0, len(self._texts), REFILL_DOCS):
                yield [
                    [self._tokenizer.bos, *self._tokenizer.encode(text)]
                    for text in self._texts[start : start + REFILL_DOCS]
                ]

    def _row(self) -> list[int]:
        row: list[int] = []
        while len(row) < self._capacity:
            while len(self._buffer) < BUFFER_DOCS:
                self._buffer.extend(next(self._waiting))
            remaining = self._capacity - len(row)
            best, best_length = -1, 0
            for index, document in enumerate(self._buffer):
                if best_length < len(document) <= remaining:
                    best, best_length = index, len(document)
            if best >= 0:
                row.extend(self._buffer.pop(best))
            else:
                lengths = range(len(self._buffer))
                shortest = min(lengths, key=lambda index: len(self._buffer[index]))
                row.extend(self._buffer.pop(shortest)[:remaining])
        return row
