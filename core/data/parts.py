"""Which shards of a corpus are read as one. Pure, and torch-free.

Rows are ordered within a part and parts are read one after the other: see core.data.growing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.data.shards import Manifest, ShardInfo

# Shards that are read as one, by name.
Part = tuple[str, ...]
# Text up to here is one part, as large as its tokens still fit anywhere (a gigabyte and a quarter);
# of more text, every part is what one downloaded shard holds.
WHOLE_CHARS = 3_000_000_000
PART_CHARS = 200_000_000


def text_parts(manifest: Manifest) -> tuple[Part, ...]:
    """Return the training shards of a corpus in parts: what came first, then later shards."""
    first = [shard for shard in manifest.shards if shard.split == "train"]
    whole = sum(shard.num_chars for shard in first) <= WHOLE_CHARS
    parts = (tuple(shard.name for shard in first),) if whole else _grouped(first)
    return (*parts, *((shard.name,) for shard in manifest.later))


def window_chars(num_first: int, num_later: int, shard_chars: float) -> float:
    """Return the characters of the largest two parts in a row, of shards of one size."""
    first = num_first * shard_chars
    largest = first if first <= WHOLE_CHARS else max(shard_chars, PART_CHARS)
    is_whole = first <= WHOLE_CHARS and not num_later
    return first if is_whole else largest + shard_chars


def _grouped(shards: Sequence[ShardInfo]) -> tuple[Part, ...]:
    parts: list[list[str]] = [[]]
    num_chars = 0
    for shard in shards:
        if num_chars >= PART_CHARS:
            parts.append([])
            num_chars = 0
        parts[-1].append(shard.name)
        num_chars += shard.num_chars
    return tuple(tuple(part) for part in parts)
