"""What a comparison of several runs can hold, by what it is made, and its sections. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runs.analysis.comparison import Comparison
from runs.analysis.diff import (
    Changed,
    CodeChange,
)
from runs.analysis.scaling_fit import ScalingFit
from runs.analysis.why import Why
from runs.metrics.run_curve import Axis
from runs.views.run_view import RunView
from tui.charts.data import ChartData

Section = Literal["verdict", "settings", "code", "why", "scaling"]
SECTIONS: tuple[Section, ...] = ("verdict", "settings", "code", "why", "scaling")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to compare by: None takes what the runs share. `pair` is the run asked why about."""

    metric: str | None = None
    stage: str | None = None
    axis: Axis = "step"
    pair: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComparePage:
    """What is known of the runs together; parts that no section asked for are empty.

    problem: why they do not compare at all, in one line. problems: by part.
    """

    choice: Choice
    runs: tuple[RunView, ...]
    names: tuple[str, ...]
    unreadable: tuple[str, ...] = ()
    problem: str = ""
    metrics: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    axes: tuple[Axis, ...] = ()
    found: Comparison | None = None
    repeat: str | None = None
    charts: tuple[ChartData, ...] = ()
    sizes: tuple[float | None, ...] = ()
    config: tuple[Changed, ...] = ()
    data: tuple[Changed, ...] = ()
    environment: tuple[Changed, ...] = ()
    code: tuple[CodeChange, ...] = ()
    reasons: Why | None = None
    fit: ScalingFit | None = None
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def pair(self) -> int:
        """The place of the run that is asked about beside the first."""
        return min(max(self.choice.pair, 1), max(len(self.names) - 1, 1))
