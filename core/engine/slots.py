"""Which row of the cache holds what: running rows, and freed rows whose prefix may be reused.

Torch-free. A prompt that begins with ids that a row still holds is prefilled from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

# Shorter common beginnings, such as bos and a marker, are not worth a particular row.
MIN_REUSED = 16


@dataclass(slots=True, kw_only=True)
class Slot:
    """One row of the cache; `ids` are the tokens whose keys and values it holds."""

    ids: list[int] = field(default_factory=list)
    is_taken: bool = False
    last_used: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A row for a new request; the first num_kept ids of its prompt are stored in `source`."""

    row: int
    source: int
    num_kept: int


class Slots:
    """The rows of one engine's cache."""

    def __init__(self, num_rows: int, *, has_reuse: bool) -> None:
        self._slots = [Slot() for _ in range(num_rows)]
        self._has_reuse = has_reuse
        self._clock = 0

    def __getitem__(self, row: int) -> Slot:
        return self._slots[row]

    @property
    def num_free(self) -> int:
        """Rows that no request holds."""
        return sum(not slot.is_taken for slot in self._slots)

    def claim(self, prompt_ids: Sequence[int]) -> Claim:
        """Take a free row: the one that holds most of the prompt, else an empty, else the oldest.

        What a running row holds of the prompt may be copied too.
        """
        free = [row for row, slot in enumerate(self._slots) if not slot.is_taken]
        kept = [self._num_common(slot, prompt_ids) for slot in self._slots]
        row = max(free, key=lambda row: kept[row])
        if kept[row] < MIN_REUSED:
            row = min(
                free, key=lambda row: (bool(self._slots[row].ids), self._slots[row].last_used)
            )
        source = max(range(len(kept)), key=lambda other: (kept[other], other == row))
        num_kept = kept[source] if kept[source] >= MIN_REUSED else 0
        # What must be copied first is not yet held.
        kept_ids = prompt_ids[:num_kept] if source == row else ()
        slot = self._slots[row]
        slot.ids, slot.is_taken = list(kept_ids), True
        return Claim(row=row, source=source, num_kept=num_kept)

    def release(self, row: int) -> None:
        """Give a row back; what it holds stays until another request needs the row."""
        self._clock += 1
        self._slots[row].is_taken = False
        self._slots[row].last_used = self._clock

    def closer(self, rows: Sequence[int]) -> tuple[int, int] | None:
        """Return a (source, target) move that brings rows of a step together, or None."""
        if not rows or padded(max(rows) - min(rows) + 1) <= padded(len(rows)):
            return None
        first, last = min(rows), max(rows)
        target = next(
            (row for row in range(first + 1, last) if not self._slots[row].is_taken), None
        )
        return None if target is None else (last, target)

    def move(self, source: int, target: int) -> None:
        """Hand a running row's place to another row."""
        moved, other = self._slots[source], self._slots[target]
        other.ids, other.is_taken = moved.ids, True
        moved.ids, moved.is_taken = [], False

    def _num_common(self, slot: Slot, prompt_ids: Sequence[int]) -> int:
        """Return how many ids can be kept: at least the last must run to give logits."""
        if not self._has_reuse:
            return 0
        most = min(len(slot.ids), len(prompt_ids) - 1)
        for index in range(most):
            if slot.ids[index] != prompt_ids[index]:
                return index
        return most


def padded(num_rows: int) -> int:
    """Return the batch shape that so many rows decode in: a power of two."""
    return 1 << (num_rows - 1).bit_length()
