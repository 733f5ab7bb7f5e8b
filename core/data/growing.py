"""Training rows of a corpus that is still arriving: the shards that came first, then the others.

The order is that of the manifest, whatever arrives when: a row has one number over the whole
run, as with a corpus that is all there.
"""

from __future__ import annotations

from collections.abc import Callable

from core.data.arrivals import LaterTokens
from core.data.packing import Ints, PackedRows, Rows
from core.data.tokens import TokenSplit


class GrowingRows(Rows):
    """Rows of the first shards as one, then of each later shard by itself.

    check: called while shards are missing; raises when they will not come.
    """

    def __init__(
        self,
        first: TokenSplit,
        later: LaterTokens,
        *,
        row_len: int,
        pad: int,
        seed: int,
        check: Callable[[], None],
    ) -> None:
        self._later = later
        self._row_len = row_len
        self._pad = pad
        self._seed = seed
        self._check = check
        self._parts = [self._part(first)]

    @property
    def is_growing(self) -> bool:
        """Whether rows may have to be waited for."""
        return True

    @property
    def waits_for(self) -> str | None:
        """The shard that comes next, or None when all are there."""
        missing = self._later.shards[len(self._parts) - 1 :]
        return missing[0].name if missing else None

    def reaches(self, until: int) -> bool:
        """Return whether the rows before number `until` can be read; takes in what arrived."""
        while self._num_rows() < until and self.waits_for is not None:
            shard = self._later.shards[len(self._parts) - 1]
            if not self._later.is_ready(shard):
                self._check()
                return False
            self._parts.append(self._part(self._later.open(shard)))
        return True

    def row(self, index: int) -> tuple[Ints, Ints]:
        """Return inputs and targets of a row that can be read."""
        epoch, part, inside = self._locate(index)
        first = sum(part.epoch(earlier).num_rows for earlier in range(epoch))
        return part.row(first + inside)

    def epoch_of(self, index: int) -> int:
        """Return the pass, from 0, that a row belongs to."""
        return self._locate(index)[0]

    def _locate(self, index: int) -> tuple[int, PackedRows, int]:
        assert self.reaches(index + 1), "rows are waited for before they are read"
        epoch = 0
        while True:
            for part in self._parts:
                num_rows = part.epoch(epoch).num_rows
                if index < num_rows:
                    return epoch, part, index
                index -= num_rows
            epoch += 1

    def _num_rows(self) -> int:
        return sum(part.epoch(0).num_rows for part in self._parts)

    def _part(self, split: TokenSplit) -> PackedRows:
        return PackedRows(split, row_len=self._row_len, pad=self._pad, seed=self._seed, crop=True)
