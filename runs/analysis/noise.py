"""Whether a difference of two runs is more than their seeds would make. Pure.

The spread is that of runs which differ by seed alone. It is assumed to be normal, and the same
for the settings that are compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runs.analysis.seed_groups import SeedGroup
from runs.statistics import student_quantile

Word = Literal["better", "worse", "not evidence", "same settings", "no noise floor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """The standard deviation of one run's final value over seeds.

    degrees: of freedom of the estimate. groups: the sizes of the groups that it is pooled over.
    is_own: whether they are groups of the runs compared, not of other settings.
    """

    sd: float
    degrees: int
    groups: tuple[int, ...]
    is_own: bool
    is_one_commit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The second run's settings minus the first's: `difference` of means over their seeds.

    sigmas: the difference in its own standard errors. The interval has 95 % confidence.
    """

    word: Word
    difference: float
    num_first: int
    num_second: int
    ci_low: float | None = None
    ci_high: float | None = None
    sigmas: float | None = None

    @property
    def is_evidence(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.word in ("better", "worse")


def noise_floor(groups: Sequence[SeedGroup], run_ids: Sequence[str]) -> NoiseFloor | None:
    """Return the pooled spread of the groups that hold the runs, or else of all others.

    None without a group.
    """
    own = [group for group in groups if any(group.holds(run_id) for run_id in run_ids)]
    used = own or groups
    if not used:
        return None
    squares = degrees = 0.0
    for group in used:
        mean = math.fsum(group.values) / len(group.values)
        squares += math.fsum((value - mean) ** 2 for value in group.values)
        degrees += len(group.values) - 1
    return NoiseFloor(
        sd=math.sqrt(squares / degrees),
        degrees=int(degrees),
        groups=tuple(len(group.values) for group in used),
        is_own=bool(own),
        is_one_commit=all(group.is_one_commit for group in used),
    )


def judge(
    first: Sequence[float],
    second: Sequence[float],
    floor: NoiseFloor | None,
    *,
    is_same_group: bool = False,
    is_higher_better: bool = False,
) -> Verdict:
    """Return whether the mean of the second values differs from that of the first.

    Raises:
        ValueError: one of the two is empty.
    """
    if not first or not second:
        raise ValueError("a verdict needs a value on both sides")
    difference = math.fsum(second) / len(second) - math.fsum(first) / len(first)
    counts = {"num_first": len(first), "num_second": len(second)}
    if is_same_group:
        return Verdict(word="same settings", difference=difference, **counts)
    if floor is None:
        return Verdict(word="no noise floor", difference=difference, **counts)
    error = floor.sd * math.sqrt(1 / len(first) + 1 / len(second))
    half = student_quantile(floor.degrees) * error
    word: Word = "not evidence"
    if abs(difference) > half:
        word = "better" if (difference > 0) == is_higher_better else "worse"
    return Verdict(
        word=word,
        difference=difference,
        ci_low=difference - half,
        ci_high=difference + half,
        sigmas=difference / error if error > 0 else None,
        **counts,
    )
