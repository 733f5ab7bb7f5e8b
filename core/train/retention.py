"""Which checkpoints of a stage stay on disk. Pure.

The newest ones and the best one stay, within a budget of bytes; the newest of all always stays,
for it is what a resume starts from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A committed checkpoint; `val_bpb` is None where its step was not measured."""

    step: int
    num_bytes: int
    val_bpb: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is to stay: so many of the newest, the best one if wanted, and so many bytes at most."""

    num_newest: int
    keeps_best: bool
    budget_bytes: float | None = None


def best_of(found: Sequence[Kept]) -> Kept | None:
    """Return the checkpoint with the fewest bits per byte; the newer one of two that are equal."""
    measured = [kept for kept in found if kept.val_bpb is not None and math.isfinite(kept.val_bpb)]
    return min(measured, key=lambda kept: (kept.val_bpb, -kept.step), default=None)


def outdated(found: Sequence[Kept], policy: Policy) -> list[Kept]:
    """Return what may go by the rules, in the order in which it should."""
    order = _expendable(found, policy)
    best = best_of(found) if policy.keeps_best else None
    newest = {kept.step for kept in sorted(found, key=lambda kept: kept.step)[-policy.num_newest :]}
    going = [kept for kept in order if kept.step not in newest and kept is not best]
    if policy.budget_bytes is None:
        return going
    size = sum(kept.num_bytes for kept in found) - sum(kept.num_bytes for kept in going)
    for kept in order:
        if size <= policy.budget_bytes:
            break
        if kept not in going:
            going.append(kept)
            size -= kept.num_bytes
    return going


def given_up(
    found: Sequence[Kept], policy: Policy, *, needed_bytes: int, free_bytes: int
) -> list[Kept] | None:
    """Return what has to go so that another checkpoint fits on the disk; None when none can.

    The newest is not given up for one that is not there yet.
    """
    going: list[Kept] = []
    for kept in _expendable(found, policy):
        if free_bytes >= needed_bytes:
            break
        going.append(kept)
        free_bytes += kept.num_bytes
    return going if free_bytes >= needed_bytes else None


def _expendable(found: Sequence[Kept], policy: Policy) -> list[Kept]:
    """Return all but the newest: the oldest first, and the best one last where it is wanted."""
    best = best_of(found) if policy.keeps_best else None
    older = sorted(found, key=lambda kept: kept.step)[:-1]
    return sorted(older, key=lambda kept: (kept is best, kept.step))
