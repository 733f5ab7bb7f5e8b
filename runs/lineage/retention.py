"""What may go from a lab home, and what stays: rules applied to what was found. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runs.errors import UsageError

Kind = Literal[
    "half-built", "checkpoint", "token cache", "download", "kernels", "snapshot", "trash"
]
# A removed run can be restored for this long, unless another age is asked for.
TRASH_AGE_S = 30 * 86400.0
_UNITS_S = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_UNITS_BYTES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepRules:
    """What a person wants kept; any of them makes checkpoints candidates at all.

    keep_last: this many of the newest checkpoints of each stage stay; at least 1, since
        resuming and every reference without a step need the newest.
    keep_best: the checkpoint with the lowest validation bits per byte stays too.
    older_than_s: only what is older goes.
    max_bytes: the oldest go first, and only until the lab home takes no more than this.
    """

    keep_last: int | None = None
    keep_best: bool = False
    older_than_s: float | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.keep_last is not None and self.keep_last < 1:
            raise UsageError(
                f"--keep-last is {self.keep_last}; the newest always stays: give 1 or more"
            )

    @property
    def thins(self) -> bool:
        """Whether checkpoints are candidates."""
        return self.keep_best or any(
            rule is not None for rule in (self.keep_last, self.older_than_s, self.max_bytes)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that takes space; `modified_s` is in Unix seconds, `run` the slug of its run."""

    kind: Kind
    path: Path
    label: str
    num_bytes: int
    modified_s: float
    run: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCheckpoint:
    """A committed checkpoint; `rank` counts from the newest of its stage, which has 0."""

    item: Item
    rank: int
    is_best: bool
    needed_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A checkpoint that the rules would let go, and what needs it."""

    item: Item
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What goes, and what is kept although it is old."""

    going: tuple[Item, ...]
    kept: tuple[Kept, ...]

    @property
    def num_bytes(self) -> int:
        """The space that is freed."""
        return sum(item.num_bytes for item in self.going)


def choose(
    rules: KeepRules,
    litter: Sequence[Item],
    checkpoints: Sequence[StageCheckpoint],
    *,
    home_bytes: int,
    now_s: float,
) -> Choice:
    """Return what goes of the `litter`, which nothing refers to, and of the checkpoints."""
    kept: list[Kept] = []
    spare: list[Item] = []
    for found in checkpoints if rules.thins else ():
        if found.rank < (rules.keep_last or 1) or not _is_old(rules, found.item, now_s):
            continue
        if found.needed_by is not None:
            kept.append(Kept(item=found.item, why=found.needed_by))
        elif found.is_best and rules.keep_best:
            kept.append(Kept(item=found.item, why="the best of its stage"))
        else:
            spare.append(found.item)
    always = [item for item in litter if item.kind == "half-built"]
    spare += [item for item in litter if item.kind != "half-built" and _is_old(rules, item, now_s)]
    going = always + _until(rules.max_bytes, always, spare, home_bytes)
    return Choice(going=tuple(going), kept=tuple(kept))


def _is_old(rules: KeepRules, item: Item, now_s: float) -> bool:
    limit_s = rules.older_than_s
    if limit_s is None:
        limit_s = TRASH_AGE_S if item.kind == "trash" else 0.0
    return now_s - item.modified_s >= limit_s


def _until(
    max_bytes: int | None, always: Sequence[Item], spare: Sequence[Item], home_bytes: int
) -> list[Item]:
    """Return the oldest of `spare` that have to go for the home to fit; all without a limit."""
    oldest = sorted(spare, key=lambda item: item.modified_s)
    if max_bytes is None:
        return oldest
    left = home_bytes - sum(item.num_bytes for item in always)
    going = []
    for item in oldest:
        if left <= max_bytes:
            break
        going.append(item)
        left -= item.num_bytes
    return going


def parse_age(text: str) -> float:
    """Return the seconds in an age such as 12h, 30d or 2w."""
    return _number(text, _UNITS_S, "an age", "30d, 12h or 2w")


def parse_size(text: str) -> int:
    """Return the bytes in a size such as 500M or 50G (binary units; a B or iB may follow)."""
    return int(
        _number(
            text.upper().removesuffix("B").removesuffix("I"), _UNITS_BYTES, "a size", "50G or 500M"
        )
    )


def _number(text: str, units: dict[str, float] | dict[str, int], what: str, example: str) -> float:
    head, unit = text[:-1], text[-1:]
    try:
        value = float(head)
    except ValueError:
        value = -1.0
    if unit not in units or not 0 <= value < 1e9:
        raise UsageError(f"{text!r} is not {what}; write it as {example}")
    return value * units[unit]
