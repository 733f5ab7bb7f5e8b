"""What a lab's runs say about scale, put together: law, best sizes, and what a target takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runs.analysis.isoflop import Parabola, SizeLaw, parabolas, size_law
from runs.analysis.power_law import MIN_POINTS, PowerLaw, Range, fit
from runs.analysis.scaling_points import ScalingData, ScalingPoint, as_loss, frontier, scaling_data
from runs.errors import NotFound, UsageError
from runs.metrics.run_curve import hourly_rate
from runs.views.card import RunCard

# CORE of GPT-2 (1.5 B parameters), as nanochat's leaderboard has it.
GPT2_CORE = 0.2565
TARGETS = {"gpt2": ("core_metric", GPT2_CORE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A value of a metric to be met."""

    metric: str
    value: float

    @property
    def loss(self) -> float:
        """The value as something that falls."""
        return as_loss(self.metric, self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a target takes by the law; time and dollars at the speed of the fastest run here."""

    flops: Range
    chance: float
    time_s: Range
    usd: Range | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScalingFit:
    """The law over the runs that no cheaper run beats; `problem` says why there is none."""

    data: ScalingData
    frontier: tuple[ScalingPoint, ...]
    law: PowerLaw | None
    parabolas: tuple[Parabola, ...]
    sizes: SizeLaw | None
    problem: str | None


def scaling_fit(cards: Sequence[RunCard], stage: str, metric: str) -> ScalingFit:
    """Return the laws over finished runs."""
    data = scaling_data(cards, stage, metric)
    best = frontier(data)
    found = parabolas(data.points)
    is_enough = len({point.flops for point in best}) >= MIN_POINTS
    law = fit([p.flops for p in best], [p.loss for p in best]) if is_enough else None
    return ScalingFit(
        data=data,
        frontier=tuple(best),
        law=law,
        parabolas=tuple(found),
        sizes=size_law(found),
        problem=None if law else _too_few(data, best),
    )


def parse_target(text: str, metric: str) -> Target:
    """Return the target in "val_bpb=0.9", "0.9" or "gpt2", or raise UsageError."""
    if text in TARGETS:
        name, value = TARGETS[text]
        return Target(metric=name, value=value)
    name, sign, number = text.rpartition("=")
    try:
        return Target(metric=name if sign else metric, value=float(number))
    except ValueError:
        raise UsageError(
            f"{text!r} is no target; write METRIC=VALUE, such as val_bpb=0.9, or gpt2"
        ) from None


def price(found: ScalingFit, target: Target, rate: float | None) -> Price | None:
    """Return what meeting a target takes; None without a law."""
    if found.law is None:
        return None
    flops = found.law.reach(target.loss)
    speed = max(point.flops / point.train_s for point in found.data.points if point.train_s > 0)

    def over(divisor: float) -> Range:
        low, high = flops.low, flops.high
        return Range(
            value=None if flops.value is None else flops.value / divisor,
            low=None if low is None else low / divisor,
            high=None if high is None else high / divisor,
        )

    return Price(
        flops=flops,
        chance=found.law.share_reaching(target.loss),
        time_s=over(speed),
        usd=None if rate is None else over(speed * 3600 / rate),
    )


def lab_rate(cards: Sequence[RunCard]) -> float | None:
    """Return the hourly price of the newest run that has one."""
    rates = (hourly_rate(card) for card in cards)
    return next((rate for rate in rates if rate is not None), None)


def require_something(found: ScalingFit) -> None:
    """Raise NotFound where the runs allow neither a law nor a best size."""
    if found.law is None and all(one.best_size is None for one in found.parabolas):
        raise NotFound(str(found.problem))


def _too_few(data: ScalingData, best: Sequence[ScalingPoint]) -> str:
    runs = sum(point.num_runs for point in data.points)
    skipped = f" ({', '.join(data.left_out)})" if data.left_out else ""
    finished = "1 finished run" if runs == 1 else f"{runs} finished runs"
    points = "1 point" if len(best) == 1 else f"{len(best)} points"
    return (
        f"no power law: {finished} with {data.metric} and FLOPs of {data.stage}{skipped} give "
        f"{points} that no cheaper run beats, and its three unknowns need {MIN_POINTS}; "
        "train some more, of other sizes or lengths"
    )
