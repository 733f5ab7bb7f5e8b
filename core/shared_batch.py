"""The batch of a step in rows that all ranks share evenly. Torch-free, pure.

What a step learns is its batch; the rows that a rank takes at a time only divide it.
"""

from __future__ import annotations

from dataclasses import dataclass

from runs.errors import UsageError

# Rows at a time that a GPU is kept busy with, where their number is left open.
BUSY_ROWS = 32
# How far a batch may be moved before fewer rows at a time are taken instead.
MAX_SHIFT = 1 / 8
# Nobody has as many GPUs as a long list of rank counts would name.
_MAX_RANKS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Tokens of a step over all ranks, and the rows that one rank takes at a time."""

    batch: int
    rows: int


def nearest_batch(batch: int, per_pass: int) -> int:
    """Return the multiple of the tokens of a pass that is nearest to a batch, at least one."""
    return per_pass * max(1, round(batch / per_pass))


def nearest_share(batch: int, rows: int, row_len: int, num_ranks: int) -> Share:
    """Return the batch closest to one that ranks cannot share, and the most rows that divide it.

    Rows at a time are halved until a multiple of what all ranks take comes within MAX_SHIFT; where
    none does, the nearest counts.
    """
    found = []
    count = rows
    while count:
        found.append(nearest_batch(batch, count * row_len * num_ranks))
        if abs(found[-1] - batch) <= MAX_SHIFT * batch:
            break
        count //= 2
    near = min(found, key=lambda candidate: abs(candidate - batch))
    return Share(batch=near, rows=most_rows(rows, near, row_len, num_ranks))


def most_rows(rows: int, batch: int, row_len: int, num_ranks: int) -> int:
    """Return the most rows at a time, `rows` or fewer, that divide what a rank has of a step.

    Raises:
        UsageError: the ranks cannot share the batch evenly.
    """
    num_rows = rows_of_each(batch, row_len, num_ranks)
    return next(count for count in range(min(rows, num_rows), 0, -1) if num_rows % count == 0)


def rows_of_each(batch: int, row_len: int, num_ranks: int) -> int:
    """Return the rows that every rank has in a step.

    Raises:
        UsageError: the ranks cannot share the batch evenly.
    """
    unit = row_len * num_ranks
    if batch % unit:
        ranks = "rank" if num_ranks == 1 else "ranks"
        raise UsageError(
            f"total_batch_size {batch} is not a multiple of {unit} ({row_len} tokens x "
            f"{num_ranks} {ranks}); the nearest is {nearest_batch(batch, unit)}"
        )
    return batch // unit


def rank_counts(num_rows: int) -> tuple[int, ...]:
    """Return how many ranks can share rows of a step evenly, rising."""
    most = min(num_rows, _MAX_RANKS)
    return tuple(count for count in range(1, most + 1) if num_rows % count == 0)
