"""Training rows of text that is not all here: part after part, each packed by itself.

A part is some shards. The order of parts is that of the manifest and parts do not depend on what
is here: a row has one number over the whole run, whatever arrives when, with a token cache or with
a window of it. A document's place in the order is drawn within its part, so that the tokens at
hand are those of one part, two where a step reads on into the next. That is random enough, since
shards are drawn from shuffled text, and an order over all documents would need all tokens at hand.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from core.data.packing import Rows, RowsOfPass, too_little_text
from core.data.parts import Part
from core.data.row_plans import Packing, plan_rows
from core.data.token_cache import TokenCache
from core.data.tokens import DocumentRef, Ints

# Rows of so many parts are counted in one go, which takes seconds: a resume far into a large text
# must still be able to stop.
NUM_COUNTED = 40


class Bringing(Protocol):
    """Whoever makes the tokens of shards."""

    def want(self, names: Sequence[str], *, num_urgent: int) -> None:
        """Ask for shards in their order; the first `num_urgent` of them are waited for."""
        ...

    def check(self) -> None:
        """Raise when shards will not come, with the reason."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """One part in one pass."""

    first: int
    rows: RowsOfPass


class GrowingRows(Rows):
    """Rows of all parts, pass after pass.

    bringing: who makes the tokens; absent on ranks that only wait for them.
    """

    def __init__(
        self,
        cache: TokenCache,
        parts: Sequence[Part],
        *,
        row_len: int,
        pad: int,
        seed: int,
        packing: Packing = "best-fit",
        bringing: Bringing | None,
    ) -> None:
        self._cache = cache
        self._parts = tuple(parts)
        self._row_len = row_len
        self._pad = pad
        self._seed = seed
        self._packing: Packing = packing
        self._bringing = bringing
        # Blocks are numbered in the order they are read; starts[b] is the first row of block b.
        self._starts = [0]
        self._open: dict[int, _Block] = {}
        self._waits_for: str | None = None

    @property
    def is_growing(self) -> bool:
        """Whether rows may have to be waited for."""
        return True

    @property
    def waits_for(self) -> str | None:
        """The shard that comes next, or None when what was asked for is there."""
        return self._waits_for

    def reaches(self, first: int, until: int) -> bool:
        """Return whether rows `first` to `until` - 1 can be read; takes in what arrived."""
        block = self._locate(first, until)
        if block is None:
            return False
        low, high = block
        opened = {b: found for b in range(low, high + 1) if (found := self._opened(b)) is not None}
        # Replaced as a whole: a thread may be reading ahead in it.
        self._open = opened
        missing = [b for b in range(low, high + 1) if b not in opened]
        self._tell(range(low, high + 2), missing)
        return not missing

    def holds(self, first: int, until: int) -> bool:
        """Return whether rows can be read at once."""
        if self._starts[-1] < until:
            return False
        blocks = range(self._block_of(first), self._block_of(until - 1) + 1)
        return all(block in self._open for block in blocks)

    def row(self, index: int) -> tuple[Ints, Ints]:
        """Return inputs and targets of a row that can be read."""
        block = self._block_at(index)
        return block.rows.row(index - block.first)

    def documents(self, index: int) -> tuple[DocumentRef, ...]:
        """Return the stretches of documents that a row is made of."""
        block = self._block_at(index)
        return block.rows.documents(index - block.first)

    def epoch_of(self, index: int) -> int:
        """Return the pass, from 0, that a row belongs to."""
        return self._block_of(index) // len(self._parts)

    def count_targets(self, first: int, count: int) -> int:
        """Return how many targets are counted: rows of text are full."""
        return count * self._row_len

    def _locate(self, first: int, until: int) -> tuple[int, int] | None:
        """Return the first and the last block of some rows; None while that is not known."""
        last = len(self._starts) + NUM_COUNTED
        while self._starts[-1] < until:
            block = len(self._starts) - 1
            if len(self._starts) == last:
                self._waits_for = self._shards(block)[0]
                return None
            num_rows = self._num_rows(block)
            if num_rows is None:
                # Read ahead in what is there, and never ask for less than what comes next.
                low = min(self._block_of(first), block)
                self._tell(range(low, block + 2), [block])
                return None
            self._starts.append(self._starts[-1] + num_rows)
            if len(self._starts) == len(self._parts) + 1 and self._starts[-1] == 0:
                raise too_little_text(0, self._row_len)
        return self._block_of(first), self._block_of(until - 1)

    def _block_of(self, index: int) -> int:
        """Return the block that a row lies in; the one after the last for rows not yet known."""
        return bisect_right(self._starts, index) - 1

    def _block_at(self, index: int) -> _Block:
        block = self._open.get(self._block_of(index))
        assert block is not None, "rows are waited for before they are read"
        return block

    def _num_rows(self, block: int) -> int | None:
        epoch, part = divmod(block, len(self._parts))
        known = [self._cache.lengths(name) for name in self._parts[part]]
        lengths = [some for some in known if some is not None]
        if len(lengths) < len(known):
            return None
        return plan_rows(
            np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int64),
            self._row_len,
            seed=self._seed,
            epoch=epoch,
            crop=True,
            packing=self._packing,
        ).num_rows

    def _opened(self, block: int) -> _Block | None:
        if block in self._open:
            return self._open[block]
        epoch, part = divmod(block, len(self._parts))
        split = self._cache.open(self._parts[part])
        if split is None:
            return None
        plan = plan_rows(
            split.lengths,
            self._row_len,
            seed=self._seed,
            epoch=epoch,
            crop=True,
            packing=self._packing,
        )
        rows = RowsOfPass(split=split, plan=plan, row_len=self._row_len, pad=self._pad)
        return _Block(first=self._starts[block], rows=rows)

    def _tell(self, blocks: range, missing: Sequence[int]) -> None:
        """Say which blocks are wanted, and which of them are waited for."""
        urgent = [name for block in missing for name in self._shards(block)]
        waiting = [name for name in urgent if self._cache.find(name) is None]
        self._waits_for = waiting[0] if waiting else None
        if self._bringing is None:
            return
        names = dict.fromkeys(
            [*waiting, *(name for block in blocks for name in self._shards(block))]
        )
        self._bringing.want(tuple(names), num_urgent=len(waiting))
        if waiting:
            self._bringing.check()

    def _shards(self, block: int) -> Part:
        return self._parts[block % len(self._parts)]
