"""Tokenised documents in memory or mapped from files, each document by its number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRef:
    """A stretch of a document that a row holds.

    shard: the file that holds the document, or None for one that lies in memory.
    document: its number in that file, from 0.
    start, length: the stretch, in tokens.
    """

    shard: str | None
    document: int
    start: int
    length: int


@dataclass(frozen=True, kw_only=True)
class TokenSplit:
    """Documents end to end: document i is the tokens offsets[i] .. offsets[i + 1] of all arrays.

    arrays: the tokens, split between documents only: a file may be mapped for each shard.
    first_docs: the number of the first document of each array.
    names: the shard of each array; empty for tokens that were made in memory.
    """

    arrays: tuple[TokenArray, ...]
    offsets: Ints
    first_docs: tuple[int, ...] = (0,)
    names: tuple[str, ...] = ()
    mask: npt.NDArray[np.bool_] | None = None

    @cached_property
    def lengths(self) -> Ints:
        """Tokens per document."""
        return np.diff(self.offsets)

    @property
    def num_tokens(self) -> int:
        """Tokens in all documents."""
        return int(self.offsets[-1])

    def document(
        self, index: int, length: int, start: int = 0
    ) -> tuple[TokenArray, npt.NDArray[np.bool_] | bool]:
        """Return `length` tokens of a document from `start` on, and which count as targets."""
        at = bisect_right(self.first_docs, index) - 1
        first = int(self.offsets[index]) + start
        inside = first - int(self.offsets[self.first_docs[at]])
        ids = self.arrays[at][inside : inside + length]
        return ids, True if self.mask is None else self.mask[first : first + length]

    def ref(self, index: int, length: int, start: int = 0) -> DocumentRef:
        """Return what a stretch of a document is called."""
        at = bisect_right(self.first_docs, index) - 1
        return DocumentRef(
            shard=self.names[at] if self.names else None,
            document=index - self.first_docs[at],
            start=start,
            length=length,
        )


def ragged(
    documents: Iterable[tuple[Sequence[int], Sequence[int]]],
    *,
    is_wide: bool = False,
) -> TokenSplit:
    """Return documents given as (ids, loss mask) as one split in memory; wide ids take 32 bits."""
    ids: list[int] = []
    mask: list[int] = []
    offsets = [0]
    for document, counted in documents:
        ids.extend(document)
        mask.extend(counted)
        offsets.append(len(ids))
    return TokenSplit(
        arrays=(np.array(ids, dtype=np.uint32) if is_wide else np.array(ids, dtype=np.uint16),),
        offsets=np.array(offsets, dtype=np.int64),
        mask=np.array(mask, dtype=bool),
    )
