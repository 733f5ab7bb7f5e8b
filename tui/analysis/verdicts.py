"""Comparisons of runs in sentences: speed-up at equal quality, and the noise of seeds. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from runs.analysis.comparison import Pair
from runs.analysis.noise import NoiseFloor, Verdict
from runs.analysis.speedup import Share, Speedup
from runs.metrics.run_curve import Axis
from tui.analysis.words import metric_text, short_count, signed
from tui.shell.format import counted, duration

UNITS: Mapping[Axis, str] = {
    "step": "steps", "tokens": "tokens", "time": "training time", "flops": "FLOPs", "usd": "cost",
}  # fmt: skip


def pair_lines(pair: Pair, first: str, metric: str) -> list[str]:
    """Return what is known of one run against the first: a heading, then sentences."""
    lines = [f"{pair.name} against {first}"]
    if pair.forward.is_reached:
        lines.append(reach_line(pair.name, first, pair.forward, metric))
    else:
        lines.append(
            f"{pair.name} never reaches the final {metric_text(pair.forward.level)} of {first}; "
            f"its best is {metric_text(pair.forward.chaser_best)}"
        )
        if pair.backward.is_reached:
            lines.append(reach_line(first, pair.name, pair.backward, metric))
    return [*lines, verdict_line(pair.verdict, metric)]


def reach_line(chaser: str, leader: str, found: Speedup, metric: str) -> str:
    """Return at what part of the leader's steps, time and so on the chaser is as far."""
    by_percent: dict[str, list[str]] = {}
    for axis, share in found.shares.items():
        by_percent.setdefault(f"{100 * share.share:.0f} %", []).append(
            f"{UNITS[axis]} ({axis_text(axis, share.spent)} of {axis_text(axis, share.reference)})"
        )
    parts = [f"{percent} of its {' and '.join(units)}" for percent, units in by_percent.items()]
    at = f"{metric_text(found.level)} {metric}"
    line = f"{chaser} reaches the final {at} of {leader} at {', '.join(parts)}"
    return line + _within_noise(found.shares.get("step"))


def verdict_line(verdict: Verdict, metric: str) -> str:
    """Return whether a difference is more than noise, in one sentence."""
    gap = f"{signed(verdict.difference)} {metric}"
    counts = f"mean of {counted(verdict.num_second, 'seed')} against {verdict.num_first}"
    if verdict.word == "same settings":
        return f"{gap}: the same settings with other seeds, so this is the noise itself"
    if verdict.word == "no noise floor":
        return f"{gap}: no noise floor, so nobody knows whether this is more than noise"
    assert verdict.ci_low is not None and verdict.ci_high is not None
    interval = f"95 % interval {signed(verdict.ci_low)} to {signed(verdict.ci_high)}"
    size = "" if verdict.sigmas is None else f", {abs(verdict.sigmas):.1f} sigma"
    word = verdict.word if verdict.word == "not evidence" else f"{verdict.word}, beyond the noise"
    return f"{gap}{size}: {word} ({interval}, {counts})"


def floor_line(floor: NoiseFloor | None, repeat: str | None) -> str:
    """Return where the noise floor comes from, or how to get one."""
    if floor is None:
        return (
            "noise floor: none, as no two finished runs here differ by their seed alone. "
            f"Repeat one with other seeds, twice or more: {repeat}"
        )
    groups = f"{counted(len(floor.groups), 'group')} of {', '.join(map(str, floor.groups))} runs"
    whose = "" if floor.is_own else " with other settings than these"
    code = "" if floor.is_one_commit else "; not all of them ran the same commit"
    return (
        f"noise floor: standard deviation {floor.sd:.2g} over seeds, from {groups}{whose} "
        f"({counted(floor.degrees, 'degree')} of freedom); taken as normal and equal for "
        f"all settings compared{code}"
    )


def axis_text(axis: Axis, value: float) -> str:
    """Return a place on an axis in its unit."""
    if axis == "time":
        return duration(value)
    if axis == "usd":
        return f"${value:.2f}"
    if axis == "flops":
        return f"{value:.3g}"
    return str(round(value)) if axis == "step" else short_count(value)


def _within_noise(share: Share | None) -> str:
    if share is None or share.low is None:
        return ""
    high = "never" if share.high is None else f"{100 * share.high:.0f} %"
    return f"; with noise, from {100 * share.low:.0f} % of the steps to {high}"
