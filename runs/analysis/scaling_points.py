"""What finished runs tell about scale: size, tokens, FLOPs and where they ended."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from runs.metrics.run_curve import run_curve
from runs.views.card import RunCard, is_higher_better

# Repetitions cost the same but for rounding; they become one point, their mean.
_SAME_COST = 1.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPoint:
    """One run, or the mean of `num_runs` repetitions. Counts are of the stage alone.

    loss: the final value; of a metric of which more is better, 1 minus it.
    """

    names: tuple[str, ...]
    params: float
    tokens: float
    flops: float
    train_s: float
    steps: int
    loss: float

    @property
    def num_runs(self) -> int:
        """How many runs the point stands for."""
        return len(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingData:
    """The points of a lab, cheapest first; `left_out` says in words which runs do not count."""

    stage: str
    metric: str
    points: tuple[ScalingPoint, ...]
    left_out: tuple[str, ...]


def scaling_data(cards: Sequence[RunCard], stage: str, metric: str) -> ScalingData:
    """Return the points of every finished run that measured the metric.

    Where runs were measured on several validation texts, those on the commonest one count.
    """
    finished = [card for card in cards if _state(card, stage) == "finished"]
    texts = Counter(_text(card, stage) for card in finished) - Counter({None: len(finished)})
    text = texts.most_common(1)[0][0] if texts else None
    points, other_text, without = [], 0, 0
    for card in finished:
        if metric == "val_bpb" and _text(card, stage) not in (None, text):
            other_text += 1
        elif (point := _point(card, stage, metric)) is None:
            without += 1
        else:
            points.append(point)
    left_out = []
    if other_text:
        left_out.append(f"{other_text} measured on another validation text")
    if without:
        left_out.append(f"{without} without {metric}, FLOPs or a model size")
    merged = _merged(points)
    return ScalingData(
        stage=stage,
        metric=metric,
        points=tuple(sorted(merged, key=lambda point: point.flops)),
        left_out=tuple(left_out),
    )


def frontier(data: ScalingData) -> list[ScalingPoint]:
    """Return the points that nothing as cheap beats: what a budget can buy, as far as tried."""
    kept: list[ScalingPoint] = []
    for point in sorted(data.points, key=lambda point: (point.flops, point.loss)):
        if not kept or point.loss < kept[-1].loss:
            kept.append(point)
    return kept


def as_loss(metric: str, value: float) -> float:
    """Return a metric's value as something that falls, or such a loss as the metric's value."""
    return 1.0 - value if is_higher_better(metric) else value


def _point(card: RunCard, stage: str, metric: str) -> ScalingPoint | None:
    curve = run_curve(card, stage, metric)
    params = card.settings.get("model.num_params")
    if curve is None or not isinstance(params, int | float):
        return None
    if not {"flops", "tokens", "time"} <= set(curve.x) or curve.x["flops"][-1] <= 0:
        return None
    return ScalingPoint(
        names=(card.view.name,),
        params=float(params),
        tokens=float(curve.x["tokens"][-1]),
        flops=float(curve.x["flops"][-1]),
        train_s=float(curve.x["time"][-1]),
        steps=int(curve.x["step"][-1]),
        loss=as_loss(metric, curve.final),
    )


def _merged(points: Sequence[ScalingPoint]) -> list[ScalingPoint]:
    groups: list[list[ScalingPoint]] = []
    for point in sorted(points, key=lambda point: (point.params, point.flops)):
        first = groups[-1][0] if groups else None
        is_same = first is not None and first.params == point.params
        if first is not None and is_same and point.flops <= _SAME_COST * first.flops:
            groups[-1].append(point)
        else:
            groups.append([point])
    return [_mean(group) for group in groups]


def _mean(group: Sequence[ScalingPoint]) -> ScalingPoint:
    def mean(values: Sequence[float]) -> float:
        return math.fsum(values) / len(values)

    return ScalingPoint(
        names=tuple(name for point in group for name in point.names),
        params=group[0].params,
        tokens=mean([point.tokens for point in group]),
        flops=mean([point.flops for point in group]),
        train_s=mean([point.train_s for point in group]),
        steps=group[0].steps,
        loss=mean([point.loss for point in group]),
    )


def _state(card: RunCard, stage: str) -> str | None:
    return next((seen.state for seen in card.view.stages if seen.stage == stage), None)


def _text(card: RunCard, stage: str) -> str | None:
    return next((seen.val_sha256 for seen in card.view.stages if seen.stage == stage), None)
