"""Where tokenizers cut the same text differently, by byte offsets and by lines. Torch-free.

Shapes: t tokenizers, k stretches, l lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.inspection.explained import Explained, Offsets
from runs.errors import UsageError

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stretches:
    """The parts of a text, in bytes, that tokenizers cut differently.

    Every stretch starts and ends where all of them have a border, and has no such place inside.
    """

    starts: Offsets  # [k]
    ends: Offsets  # [k]
    num_tokens: Counts  # [t, k]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lines:
    """The lines of a text, in bytes, each with the tokens that start in it."""

    starts: Offsets  # [l]
    ends: Offsets  # [l]
    num_tokens: Counts  # [t, l]

    @property
    def spread(self) -> Counts:
        """The most tokens less the fewest, int64 [l]."""
        return self.num_tokens.max(axis=0) - self.num_tokens.min(axis=0)


def differing_stretches(explained: Sequence[Explained]) -> Stretches:
    """Return where the segmentations of one text differ.

    Raises:
        UsageError: the texts are not the same.
    """
    data = _common_text(explained)
    is_common = np.ones(len(data) + 1, dtype=bool)
    for one in explained:
        is_border = np.zeros(len(data) + 1, dtype=bool)
        is_border[one.starts] = True
        is_border[one.ends] = True
        is_common &= is_border
    is_common[0] = is_common[-1] = True
    common = np.flatnonzero(is_common).astype(np.int64)
    starts, ends = common[:-1], common[1:]
    counts = np.stack([_starting_in(one, starts, ends) for one in explained])
    most, fewest = counts.max(axis=0), counts.min(axis=0)
    is_apart = (most > 1) | (most != fewest)
    return Stretches(starts=starts[is_apart], ends=ends[is_apart], num_tokens=counts[:, is_apart])


def tokens_per_line(explained: Sequence[Explained]) -> Lines:
    """Return how many tokens start in each line of one text; a line includes its line feed."""
    data = _common_text(explained)
    is_end = np.frombuffer(data, dtype=np.uint8) == 0x0A
    is_end[-1:] = True
    ends = np.flatnonzero(is_end).astype(np.int64) + 1
    starts = np.concatenate(([0], ends[:-1])).astype(np.int64)[: len(ends)]
    counts = np.stack([_starting_in(one, starts, ends) for one in explained])
    return Lines(starts=starts, ends=ends, num_tokens=counts)


def _common_text(explained: Sequence[Explained]) -> bytes:
    if not explained or any(one.data != explained[0].data for one in explained):
        raise UsageError("only segmentations of the same text can be compared")
    return explained[0].data


def _starting_in(explained: Explained, starts: Offsets, ends: Offsets) -> Counts:
    first = np.searchsorted(explained.starts, starts, side="left")
    last = np.searchsorted(explained.starts, ends, side="left")
    return (last - first).astype(np.int64)
