"""Why two runs differ: where their curves part, beside everything in which they were not equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runs.analysis.comparison import incomparable
from runs.analysis.diff import code_change, config_changes, data_changes, environment_changes
from runs.analysis.noise import noise_floor
from runs.analysis.parting import MIN_POINTS, Parting, find_parting
from runs.analysis.reasons import Reason, rank
from runs.analysis.seed_groups import seed_groups
from runs.errors import NotFound
from runs.metrics.run_curve import RunCurve, common_stage, run_curve
from runs.views.card import RunCard

# Relative: two schedules that differ by less are the same one, rounded.
_SAME_RATE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """What `labcli runs why` tells; differences are the second run minus the first.

    schedule_from: the first step at which the learning rates differ, None when they do not.
    noise_floor: the largest difference of final values that seeds alone make nineteen times of
    twenty; 0.0 where no two runs differ by seed alone.
    """

    stage: str
    metric: str
    parting: Parting
    schedule_from: int | None
    noise_floor: float
    reasons: tuple[Reason, ...]
    problem: str | None


def why(
    first: RunCard,
    second: RunCard,
    lab: Sequence[RunCard],
    *,
    metric: str = "loss",
    stage: str | None = None,
) -> Why:
    """Return where the curves of two runs part and what could have parted them.

    Raises:
        NotFound: they do not share the metric, or too few steps of it.
    """
    cards = [first, second]
    stage = common_stage(cards, metric, stage)
    noise = _seed_noise(cards, lab, stage, metric)
    parting = _parting(cards, stage, metric, noise)
    schedule_from = _first_difference(*(run_curve(card, stage, "lrm") for card in cards))
    reasons = rank(
        config=config_changes(cards),
        data=data_changes(cards),
        code=code_change(first, second),
        environment=environment_changes(cards),
        stage=stage,
        stages=[seen.stage for seen in first.view.stages],
        parted_at=parting.step,
        schedule_from=schedule_from,
    )
    return Why(
        stage=stage,
        metric=metric,
        parting=parting,
        schedule_from=schedule_from,
        noise_floor=noise,
        reasons=tuple(reasons),
        problem=incomparable(cards, stage, metric),
    )


def _seed_noise(cards: Sequence[RunCard], lab: Sequence[RunCard], stage: str, metric: str) -> float:
    run_ids = [card.view.run_id for card in cards]
    floor = noise_floor(seed_groups(lab, stage, metric, run_ids), run_ids)
    # Two single runs differ by sqrt(2) of one's deviations.
    return 0.0 if floor is None else 1.96 * 2**0.5 * floor.sd


def _parting(cards: Sequence[RunCard], stage: str, metric: str, noise: float) -> Parting:
    a, b = (run_curve(card, stage, metric) for card in cards)
    if a is None or b is None:
        raise NotFound(f"one of the runs has no finite {metric} in {stage}")
    parting = find_parting(a, b, floor=noise)
    if parting is None:
        raise NotFound(
            f"the runs share fewer than {MIN_POINTS} steps with {metric} in {stage}; "
            "name a metric of every step with --metric, such as loss"
        )
    return parting


def _first_difference(a: RunCurve | None, b: RunCurve | None) -> int | None:
    """Return the first shared step at which two exact curves differ by more than rounding."""
    import numpy as np

    if a is None or b is None:
        return None
    steps, here, there = np.intersect1d(
        a.x["step"], b.x["step"], assume_unique=True, return_indices=True
    )
    x, y = a.values[here], b.values[there]
    places = np.flatnonzero(np.abs(x - y) > _SAME_RATE * np.maximum(np.abs(x), np.abs(y)))
    return int(steps[places[0]]) if len(places) else None
