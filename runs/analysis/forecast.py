"""Where a run is heading, from its own curve: its final value, and when it meets a target.

The curve is taken to go on as the power law of its steps that fits it so far. A learning rate
that falls towards the end usually gets there sooner than that. numpy is imported in functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runs.analysis.power_law import MIN_POINTS, PowerLaw, Range, fit
from runs.analysis.scaling_points import as_loss
from runs.errors import NotFound
from runs.metrics.run_curve import RunCurve, run_curve
from runs.views.card import RunCard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# The first steps follow no power law: the learning rate warms up and the output layer settles.
SKIPPED_SHARE = 0.1
# A noisy curve is averaged over stretches equally long in log(step): its ends weigh alike.
_NUM_STRETCHES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """When a level is met; times and dollars count from the last measurement.

    chance: the share of the bootstrap in which it is met at all, however late.
    planned_steps: where the run will end, if that is known.
    """

    level: float
    is_met: bool
    chance: float
    step: Range
    time_s: Range | None
    usd: Range | None
    planned_steps: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A run's own projection. `loss` is the value, or 1 minus one of which more is better."""

    run_id: str
    name: str
    metric: str
    num_points: int
    last_step: int
    last_loss: float
    planned_steps: int | None
    planned_flops: float | None
    final_loss: Range | None
    crossing: Crossing | None


def forecast(
    card: RunCard,
    stage: str,
    metric: str,
    *,
    level: float | None = None,
    usd_per_hour: float | None = None,
) -> Forecast:
    """Return where a run is heading; `level` is the loss to be met.

    Raises:
        NotFound: it has not measured the metric often enough for a law.
    """
    curve = run_curve(card, stage, metric, usd_per_hour)
    if curve is None:
        raise NotFound(f"{card.view.slug} has no {metric} in {stage}; name another --metric")
    steps, losses = _points(curve)
    if len(steps) < MIN_POINTS:
        raise NotFound(
            f"{card.view.slug} has {len(steps)} values of {metric} beyond its first steps; a "
            f"projection needs {MIN_POINTS}: wait, or use --metric loss"
        )
    law = fit(steps, losses)
    seen = next(entry for entry in card.view.stages if entry.stage == stage)
    last = float(curve.x["step"][-1])
    planned = None if seen.total is None or seen.unit not in ("", "steps") else int(seen.total)
    return Forecast(
        run_id=card.view.run_id,
        name=card.view.name,
        metric=metric,
        num_points=len(steps),
        last_step=int(last),
        last_loss=as_loss(metric, curve.final),
        planned_steps=planned,
        planned_flops=_planned_flops(curve, planned),
        final_loss=law.predict(planned) if planned and planned > last else None,
        crossing=None if level is None else _crossing(law, curve, level, planned),
    )


def _planned_flops(curve: RunCurve, planned: int | None) -> float | None:
    flops, last = curve.x.get("flops"), float(curve.x["step"][-1])
    if flops is None or not planned or not last:
        return None
    return float(flops[-1]) * planned / last


def _crossing(law: PowerLaw, curve: RunCurve, level: float, planned: int | None) -> Crossing:
    last = float(curve.x["step"][-1])
    step = law.reach(level)

    def ahead(axis: str) -> Range | None:
        spent = curve.x.get(axis)  # type: ignore[call-overload]
        if spent is None or last <= 0:
            return None
        per_step = float(spent[-1]) / last
        return _mapped(step, lambda at: max(0.0, at - last) * per_step)

    return Crossing(
        level=level,
        is_met=as_loss(curve.metric, curve.final) <= level,
        chance=law.share_reaching(level),
        step=step,
        time_s=ahead("time"),
        usd=ahead("usd"),
        planned_steps=planned,
    )


def _mapped(found: Range, change: Callable[[float], float]) -> Range:
    ends = (None if end is None else change(end) for end in (found.value, found.low, found.high))
    value, low, high = ends
    return Range(value=value, low=low, high=high)


def _points(curve: RunCurve) -> tuple[Array, Array]:
    """Return steps and losses to fit: few enough that their noise is independent."""
    import numpy as np

    steps = curve.x["step"]
    losses = np.array([as_loss(curve.metric, value) for value in curve.values.tolist()])
    is_used = (steps > 0) & (steps >= SKIPPED_SHARE * steps[-1])
    steps, losses = steps[is_used], losses[is_used]
    if len(steps) <= 2 * _NUM_STRETCHES:
        return steps, losses
    edges = np.geomspace(steps[0], steps[-1] * (1 + 1e-9), _NUM_STRETCHES + 1)
    place = np.clip(np.searchsorted(edges, steps, side="right") - 1, 0, _NUM_STRETCHES - 1)
    counts = np.bincount(place, minlength=_NUM_STRETCHES)
    used = counts > 0
    middles = np.exp(np.bincount(place, np.log(steps), _NUM_STRETCHES)[used] / counts[used])
    return middles, np.bincount(place, losses, _NUM_STRETCHES)[used] / counts[used]
