"""The curve of one metric of one run over every axis it can be drawn against.

numpy is imported in functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from runs.errors import NotFound, nearest
from runs.views.card import RunCard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Axis = Literal["step", "tokens", "time", "flops", "usd"]
AXES: tuple[Axis, ...] = get_args(Axis)
# The metrics that count up beside every other; they restart with no attempt.
_CUMULATIVE: Mapping[Axis, str] = {"tokens": "tokens", "time": "train_s", "flops": "flops"}
# Above this many points a curve is one of training steps, each of them noisy.
MIN_NOISY_POINTS = 50
SMOOTHED_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunCurve:
    """Values at steps, and where each stands on the axes that the run measured.

    Tokens, FLOPs, seconds of training and dollars count from the start of the stage.
    """

    name: str
    stage: str
    metric: str
    values: Array
    x: Mapping[Axis, Array]

    @property
    def final(self) -> float:
        """The last value; of a noisy curve, smoothed."""
        return float(smoothed(self.values)[-1])


def run_curve(
    card: RunCard, stage: str, metric: str, usd_per_hour: float | None = None
) -> RunCurve | None:
    """Return a curve without its non-finite values; None when nothing is left of it."""
    import numpy as np

    table = card.curves(stage)
    found = table.get(metric)
    if found is None:
        return None
    steps, values = found
    steps, kept = _last_of_each(steps)
    values = values[kept]
    is_finite = np.isfinite(values)
    if not is_finite.any():
        return None
    places: Array = steps[is_finite].astype(np.float64)
    x: dict[Axis, Array] = {"step": places}
    for axis, key in _CUMULATIVE.items():
        if key in table:
            at, counts = table[key]
            # Nothing was spent before the first step, where an evaluation may already stand.
            x[axis] = np.interp(places, np.append([0], at), np.append([0.0], counts))
    rate = hourly_rate(card) if usd_per_hour is None else usd_per_hour
    if rate is not None and "time" in x:
        x["usd"] = x["time"] * rate / 3600
    return RunCurve(name=card.view.name, stage=stage, metric=metric, values=values[is_finite], x=x)


def hourly_rate(card: RunCard) -> float | None:
    """Return what the machine of a run costs per hour in dollars, as its plan has it."""
    for key in ("report.usd_per_hour", "plan.usd_per_hour"):
        stated = card.settings.get(key)
        if isinstance(stated, int | float):
            return float(stated)
    usd, time_s = card.settings.get("plan.usd"), card.settings.get("plan.time_s")
    if isinstance(usd, int | float) and isinstance(time_s, int | float) and time_s > 0:
        return float(usd) * 3600 / time_s
    return None


def common_stage(cards: Sequence[RunCard], metric: str, stage: str | None = None) -> str:
    """Return the stage whose curves of a metric are compared: base, or else the first shared.

    Raises:
        NotFound: the runs do not share the metric; what they do share is named.
    """
    shared = [
        {(entry.stage, key) for entry in card.view.stages for key in card.curves(entry.stage)}
        for card in cards
    ]
    common = set.intersection(*shared)
    order = [entry.stage for entry in cards[0].view.stages if (entry.stage, metric) in common]
    if stage is None and order:
        return "base" if "base" in order else order[0]
    if stage in order:
        return str(stage)
    where = f"stage {stage}" if stage else "any stage"
    known = {key for at, key in common if stage in (None, at)}
    missing = next((card for card, keys in zip(cards, shared, strict=True) if not keys), None)
    if missing is not None:
        raise NotFound(f"{missing.view.slug} has measured nothing yet; wait for its first steps")
    raise NotFound(f"these runs share no {metric!r} in {where}{nearest(metric, known)}")


def default_metric(cards: Sequence[RunCard], stage: str | None = None) -> str:
    """Return val_bpb where all runs have measured it, else the loss."""
    for metric in ("val_bpb", "loss"):
        try:
            common_stage(cards, metric, stage)
        except NotFound:
            continue
        return metric
    return "val_bpb"


def smoothed(values: Array) -> Array:
    """Return centred means over 5 % of a noisy curve; one with few points as it is.

    A centred mean lags behind nothing, which matters where two curves are compared in time.
    """
    if len(values) < MIN_NOISY_POINTS:
        return values
    return window_means(values, max(5, round(len(values) * SMOOTHED_SHARE)))


def window_means(values: Array, window: int) -> Array:
    """Return the mean of the `window` values around each one; at an end, of those at that end.

    An even window counts as the odd one above it; one longer than the curve, as the curve.
    """
    import numpy as np

    reach = min(window // 2, (len(values) - 1) // 2)
    sums = np.concatenate(([0.0], np.cumsum(values)))
    middle = np.clip(np.arange(len(values)), reach, len(values) - 1 - reach)
    means: Array = (sums[middle + reach + 1] - sums[middle - reach]) / (2 * reach + 1)
    return means


def _last_of_each(steps: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct steps in order, and where the last value of each stands."""
    import numpy as np

    found, first = np.unique(steps[::-1], return_index=True)
    return found, len(steps) - 1 - first
