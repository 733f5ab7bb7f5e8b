"""Several runs against the first of them: values, speed-up, and whether noise explains it.

Reads no file but through the run cards. numpy is imported in functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runs.analysis.diff import data_hashes
from runs.analysis.noise import NoiseFloor, Verdict, judge, noise_floor
from runs.analysis.seed_groups import SeedGroup, seed_groups
from runs.analysis.speedup import Speedup, speedup
from runs.errors import NotFound
from runs.metrics.run_curve import Axis, RunCurve, common_stage, default_metric, run_curve, smoothed
from runs.views.card import RunCard, is_higher_better


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One run in a comparison: what it reached, where, and what it had spent by then.

    at_common: its value where the run that got least far ended, on the axis chosen.
    """

    run_id: str
    name: str
    state: str
    last: float
    best: float
    best_step: int
    at_common: float
    spent: Mapping[Axis, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A run against the first one.

    forward: the run on its way to where the first one ended; backward: the other way round.
    """

    run_id: str
    name: str
    forward: Speedup
    backward: Speedup
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What `labcli runs compare` tells.

    problem: why the values do not compare, in one line; then there are no pairs.
    """

    stage: str
    metric: str
    axis: Axis
    common_x: float
    standings: tuple[Standing, ...]
    pairs: tuple[Pair, ...]
    floor: NoiseFloor | None
    problem: str | None = None


def compare(
    cards: Sequence[RunCard],
    lab: Sequence[RunCard],
    *,
    metric: str | None = None,
    stage: str | None = None,
    axis: Axis = "step",
    usd_per_hour: float | None = None,
) -> Comparison:
    """Return how runs compare with the first one; `lab` is where repetitions are looked for.

    Raises:
        NotFound: the runs do not share the metric, the stage or the axis.
    """
    metric = metric or default_metric(cards, stage)
    stage = common_stage(cards, metric, stage)
    curves = [_curve(card, stage, metric, axis, usd_per_hour) for card in cards]
    common_x = min(float(curve.x[axis][-1]) for curve in curves)
    is_higher = is_higher_better(metric)
    run_ids = [card.view.run_id for card in cards]
    groups = seed_groups(lab, stage, metric, run_ids)
    floor = noise_floor(groups, run_ids)
    problem = incomparable(cards, stage, metric)
    pairs = [
        _pair(cards[0], card, curves[0], curve, groups=groups, floor=floor, is_higher=is_higher)
        for card, curve in zip(cards[1:], curves[1:], strict=True)
        if problem is None
    ]
    return Comparison(
        stage=stage,
        metric=metric,
        axis=axis,
        common_x=common_x,
        standings=tuple(
            _standing(*one, axis, common_x, is_higher=is_higher)
            for one in zip(cards, curves, strict=True)
        ),
        pairs=tuple(pairs),
        floor=floor,
        problem=problem,
    )


def incomparable(cards: Sequence[RunCard], stage: str, metric: str) -> str | None:
    """Return why a metric of these runs does not compare; None when it does."""
    if metric == "val_bpb":
        texts = {
            seen.val_sha256 for card in cards for seen in card.view.stages if seen.stage == stage
        }
        if len(texts - {None}) > 1:
            return "measured on different validation texts, so bits per byte do not compare"
    if metric.endswith("loss"):
        tokenizers = {data_hashes(card).get("tokenizer") for card in cards}
        if len(tokenizers - {None}) > 1:
            return "trained with different tokenizers, so losses per token do not compare"
    return None


def _curve(
    card: RunCard, stage: str, metric: str, axis: Axis, usd_per_hour: float | None
) -> RunCurve:
    curve = run_curve(card, stage, metric, usd_per_hour)
    if curve is None:
        raise NotFound(f"{card.view.slug} has no finite {metric} in {stage}")
    if axis not in curve.x:
        hint = "; name a rate with --usd-per-hour" if axis == "usd" else ""
        raise NotFound(f"{card.view.slug} did not record {axis} in {stage}{hint}")
    return curve


def _standing(
    card: RunCard, curve: RunCurve, axis: Axis, common_x: float, *, is_higher: bool
) -> Standing:
    import numpy as np

    values = smoothed(curve.values)
    place = int(np.argmax(values) if is_higher else np.argmin(values))
    return Standing(
        run_id=card.view.run_id,
        name=card.view.name,
        state=card.view.state,
        last=curve.final,
        best=float(values[place]),
        best_step=int(curve.x["step"][place]),
        at_common=float(np.interp(common_x, curve.x[axis], values)),
        spent={name: float(x[-1]) for name, x in curve.x.items()},
    )


def _pair(
    first: RunCard,
    other: RunCard,
    first_curve: RunCurve,
    curve: RunCurve,
    *,
    groups: Sequence[SeedGroup],
    floor: NoiseFloor | None,
    is_higher: bool,
) -> Pair:
    mine, theirs = _group(first, groups), _group(other, groups)
    is_same = mine is not None and mine is theirs
    verdict = judge(
        [first_curve.final] if mine is None or is_same else mine.values,
        [curve.final] if theirs is None or is_same else theirs.values,
        floor,
        is_same_group=is_same,
        is_higher_better=is_higher,
    )
    noise = 0.0 if verdict.ci_high is None else verdict.ci_high - verdict.difference
    return Pair(
        run_id=other.view.run_id,
        name=other.view.name,
        forward=speedup(first_curve, curve, is_higher_better=is_higher, noise=noise),
        backward=speedup(curve, first_curve, is_higher_better=is_higher, noise=noise),
        verdict=verdict,
    )


def _group(card: RunCard, groups: Sequence[SeedGroup]) -> SeedGroup | None:
    return next((group for group in groups if group.holds(card.view.run_id)), None)
