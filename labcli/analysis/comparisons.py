"""`runs compare`: standings, speed-up and verdicts, for programs and for people. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from labcli.analysis.diffs import count
from labcli.analysis.listing import metric_text
from labcli.tables import render, seconds, short_count
from runs.card import is_higher_better
from runs.comparison import Comparison, Pair
from runs.noise import NoiseFloor, Verdict
from runs.run_curve import AXES, Axis
from runs.speedup import Share, Speedup

UNITS: Mapping[Axis, str] = {
    "step": "steps", "tokens": "tokens", "time": "training time", "flops": "FLOPs", "usd": "cost",
}  # fmt: skip
_HEADINGS: Mapping[Axis, str] = {
    "step": "STEPS", "tokens": "TOKENS", "time": "TIME", "flops": "FLOPS", "usd": "USD",
}  # fmt: skip


def comparison_object(found: Comparison, repeat: str | None) -> dict[str, Any]:
    """Return the document of `runs compare --json`."""
    return {
        "stage": found.stage,
        "metric": found.metric,
        "x": found.axis,
        "common_x": found.common_x,
        "problem": found.problem,
        "runs": [asdict(standing) for standing in found.standings],
        "noise": None if found.floor is None else asdict(found.floor),
        "repeat": repeat,
        "pairs": [_pair_object(pair, found.standings[0].run_id) for pair in found.pairs],
    }


def comparison_text(found: Comparison, repeat: str | None, width: int) -> str:
    """Return the readable form of `runs compare`, in at most `width` columns where it can."""
    way = "larger" if is_higher_better(found.metric) else "smaller"
    blocks = [f"{found.metric} of {found.stage}; {way} is better", standings_table(found, width)]
    if found.problem:
        blocks.append(f"not compared: {found.problem}")
        return "\n\n".join(blocks)
    first = found.standings[0].name
    blocks += [pair_text(pair, first, found.metric, width) for pair in found.pairs]
    blocks.append(wrapped(floor_line(found.floor, repeat), width))
    return "\n\n".join(blocks)


def standings_table(found: Comparison, width: int) -> str:
    """Return a table of what each run reached and spent; the least asked columns go first."""
    axes = [axis for axis in AXES if all(axis in one.spent for one in found.standings)]
    unit = {"step": "STEP ", "tokens": "TOKENS ", "flops": "FLOPS "}.get(found.axis, "")
    common = f"AT {unit}{axis_text(found.axis, found.common_x)}"
    columns: dict[str, list[str]] = {
        "RUN": [one.name for one in found.standings],
        "STATE": [one.state for one in found.standings],
        **{
            _HEADINGS[axis]: [axis_text(axis, one.spent[axis]) for one in found.standings]
            for axis in axes
        },
        "LAST": [metric_text(one.last) for one in found.standings],
        "BEST": [f"{metric_text(one.best)}@{one.best_step}" for one in found.standings],
        common: [metric_text(one.at_common) for one in found.standings],
    }
    for extra in ("", "STATE", "TOKENS", "FLOPS", "BEST"):
        columns.pop(extra, None)
        right = "l" + "r" * len(columns)
        table = render(list(columns), list(zip(*columns.values(), strict=True)), right=right)
        if len(table.splitlines()[0]) <= width:
            break
    return table


def pair_text(pair: Pair, first: str, metric: str, width: int) -> str:
    """Return what is known of one run against the first."""
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
    lines.append(verdict_line(pair.verdict, metric))
    return "\n".join([lines[0], *(wrapped(line, width, indent="  ") for line in lines[1:])])


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
    counts = f"mean of {count(verdict.num_second, 'seed')} against {verdict.num_first}"
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
    groups = f"{count(len(floor.groups), 'group')} of {', '.join(map(str, floor.groups))} runs"
    whose = "" if floor.is_own else " with other settings than these"
    code = "" if floor.is_one_commit else "; not all of them ran the same commit"
    return (
        f"noise floor: standard deviation {floor.sd:.2g} over seeds, from {groups}{whose} "
        f"({count(floor.degrees, 'degree')} of freedom); taken as normal and equal for "
        f"all settings compared{code}"
    )


def axis_text(axis: Axis, value: float) -> str:
    """Return a place on an axis in its unit."""
    if axis == "time":
        return seconds(value)
    if axis == "usd":
        return f"${value:.2f}"
    if axis == "flops":
        return f"{value:.3g}"
    return str(round(value)) if axis == "step" else short_count(value)


def signed(value: float) -> str:
    """Return a difference with its sign and four digits after the point, or what it takes."""
    return f"{value:+.4f}" if abs(value) >= 0.001 or value == 0 else f"{value:+.2g}"


def wrapped(text: str, width: int, indent: str = "") -> str:
    """Return text on lines of at most `width` columns, the further ones indented."""
    return textwrap.fill(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _within_noise(share: Share | None) -> str:
    if share is None or share.low is None:
        return ""
    high = "never" if share.high is None else f"{100 * share.high:.0f} %"
    return f"; with noise, from {100 * share.low:.0f} % of the steps to {high}"


def _pair_object(pair: Pair, against: str) -> dict[str, Any]:
    return {
        "run_id": pair.run_id,
        "against": against,
        "verdict": asdict(pair.verdict),
        "forward": _speedup_object(pair.forward),
        "backward": _speedup_object(pair.backward),
    }


def _speedup_object(found: Speedup) -> dict[str, Any]:
    return {"is_reached": found.is_reached, **asdict(found)}
