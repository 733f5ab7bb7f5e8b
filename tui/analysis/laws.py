"""Scaling laws in sentences, each figure with its interval. Pure."""

from __future__ import annotations

from typing import Any

from runs.analysis.power_law import Range
from runs.analysis.scaling_fit import ScalingFit
from runs.views.card import is_higher_better
from tui.analysis.words import metric_text, short_count
from tui.shell.format import counted

_ABSENT = "-"


def loss_name(metric: str) -> str:
    """Return what is fitted: the metric, or 1 minus one of which more is better."""
    return f"1 - {metric}" if is_higher_better(metric) else metric


def law_lines(found: ScalingFit, loss: str) -> list[str]:
    """Return the law in a formula and its figures with their intervals."""
    law = found.law
    assert law is not None
    runs = sum(point.num_runs for point in found.data.points)
    left_out = "".join(f"; left out: {what}" for what in found.data.left_out)
    return [
        f"{loss} = E + A (C / {law.unit:.3g}) ^ -alpha over C FLOPs of {found.data.stage}",
        f"E {interval(law.floor)}, A {interval(law.scale)}, alpha {interval(law.exponent)}; "
        f"95 % intervals, spread {law.sd:.2g}",
        f"from {law.num} points that no cheaper run beats, of {counted(runs, 'finished run')}"
        f"{left_out}",
        *(["these points do not pin the law down: take it for no prediction"] * law.is_loose),
    ]


def size_lines(found: ScalingFit) -> list[str]:
    """Return how the best size grows, or nothing where fewer than two budgets have one."""
    if found.sizes is None:
        return []
    return [f"the best size grows as FLOPs ^ {interval(found.sizes.exponent)}"]


def interval(found: Range) -> str:
    """Return a figure with its interval in brackets."""
    return ends(found, metric_text)


def sizes_text(found: Range) -> str:
    """Return a model size with its interval."""
    return ends(found, short_count)


def ends(found: Range, show: Any) -> str:
    """Return a figure and its interval, each as `show` writes it."""
    value = "never" if found.value is None else show(found.value)
    if found.low is None and found.high is None:
        return str(value)
    low = _ABSENT if found.low is None else show(found.low)
    high = "never" if found.high is None else show(found.high)
    return f"{value} [{low} to {high}]"
