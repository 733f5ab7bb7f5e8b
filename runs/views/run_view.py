"""What is known of a run and of its stages at one moment: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runs.alerting.host_alerts import RunAlert
from runs.views.states import RunState, StageState


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """One stage as it stands now; `done` and `total` count `unit`s, times are Unix seconds."""

    stage: str
    state: StageState = "pending"
    attempt: int = 0
    step: int | None = None
    total: float | None = None
    done: float | None = None
    unit: str = ""
    label: str = ""
    eta_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    val_bpb: float | None = None
    val_sha256: str | None = None
    best_bpb: float | None = None
    results: Mapping[str, Mapping[str, float]] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None
    resumed_from: int | None = None
    num_alerts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """One run as it stands now; `problem` says in one line what a person should know or do.

    `position` is the place in the queue of a run that waits there, from 1. `worked_s` is how long
    its stages were at work, over all attempts, and `usd` what that costs where a price is known.
    `best_bpb` is the lowest that was measured on the validation text of `val_bpb`.
    """

    run_id: str
    slug: str
    name: str
    recipe: str
    preset: str
    state: RunState
    stage: str | None
    created_s: float
    started_s: float | None
    ended_s: float | None
    val_bpb: float | None
    val_sha256: str | None
    tags: tuple[str, ...]
    notes: tuple[str, ...]
    stages: tuple[StageView, ...]
    path: Path
    problem: str | None = None
    alerts: tuple[RunAlert, ...] = ()
    position: int | None = None
    worked_s: float | None = None
    usd: float | None = None
    best_bpb: float | None = None
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def num_alerts(self) -> int:
        """How many alerts there were, of the whole run and of its stages."""
        general = sum(alert.is_trouble for alert in self.alerts if alert.stage is None)
        return general + sum(stage.num_alerts for stage in self.stages)
