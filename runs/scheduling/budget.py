"""Limits on what a run, or a whole sweep, may cost: a checkpoint is written, then it stops.

The limit is part of run.json or sweep.json; a higher one is a later line in requests.jsonl.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from runs.errors import LabError, UsageError
from runs.log import append_record, read_log
from runs.paths import LabHome, RunPaths
from runs.record import RunRecord
from runs.scheduling.sweep import Sweep, load_sweep, sweep_dir
from runs.views.cost import WorkMeter, worked_s

REQUESTS = "requests.jsonl"
_REQUEST = "budget"
# Other runs of a sweep are read again this often; control.jsonl has a line every 2 s.
CHECK_S = 2.0
_HOUR_S = 3600.0
SHARED_BUDGET = "the budget of its sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that may be spent; a price is needed only for `max_usd`."""

    max_usd: float | None = None
    max_hours: float | None = None
    usd_per_hour: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_usd", "max_hours", "usd_per_hour"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"--{name.replace('_', '-')} must be above 0, not {value:g}")
        if self.max_usd is not None and self.usd_per_hour is None:
            raise UsageError(
                "--max-usd needs a price, and none is known for this machine; add --usd-per-hour"
            )

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return self.max_usd is not None or self.max_hours is not None

    def usd(self, seconds: float) -> float | None:
        """Return what a time at work costs, or None without a price."""
        return None if self.usd_per_hour is None else self.usd_per_hour * seconds / _HOUR_S

    def exceeded(self, seconds: float) -> str | None:
        """Return which limit a time at work has reached, in a few words, or None."""
        if self.max_hours is not None and seconds >= self.max_hours * _HOUR_S:
            return f"{seconds / _HOUR_S:.3g} of {self.max_hours:g} hours are used"
        usd = self.usd(seconds)
        if self.max_usd is not None and usd is not None and usd >= self.max_usd:
            return f"{dollars(usd)} of {dollars(self.max_usd)} are spent"
        return None

    def to_json(self) -> dict[str, float]:
        """Return what run.json keeps: the limits that are set."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def dollars(usd: float) -> str:
    """Return an amount to the cent, or to three digits where that would say nothing."""
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.3g}"


def budget_from(data: Mapping[str, Any]) -> Budget:
    """Return the budget that a file holds."""
    return Budget(
        **{
            key: float(data[key])
            for key in ("max_usd", "max_hours", "usd_per_hour")
            if isinstance(data.get(key), int | float)
        }
    )


def run_budget(run_dir: Path, record: RunRecord) -> Budget:
    """Return the budget of a run as it is now."""
    return _latest(budget_from(record.budget), RunPaths(run_dir).requests)


def sweep_budget(home: LabHome, sweep: Sweep) -> Budget:
    """Return the budget that all runs of a sweep share, as it is now."""
    return _latest(budget_from(sweep.budget), sweep_dir(home, sweep) / REQUESTS)


def raise_budget(requests: Path, now: Budget, change: Budget, spent_s: float) -> Budget:
    """Write down new limits and return them; UsageError when they are reached already."""
    merged = replace(now, **change.to_json())
    reached = merged.exceeded(spent_s)
    if reached is not None:
        raise UsageError(f"the budget would not let it go on: {reached}; give a higher one")
    if not append_record(requests, _REQUEST, merged.to_json(), sync=True):
        raise LabError(f"cannot write {requests}; check the disk")
    return merged


class BudgetWatch:
    """Tells the supervisor of a run when a limit is reached: its own, or that of its sweep."""

    def __init__(
        self, run_dir: Path, record: RunRecord, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._run_dir = run_dir
        self._clock = clock
        self._due_s = 0.0
        self._limits: list[tuple[Budget, WorkMeter, str]] = []
        own = run_budget(run_dir, record)
        if own.is_limited:
            self._limits.append((own, WorkMeter([run_dir]), "its budget"))
        found = _shared(RunPaths(run_dir).home, record)
        if found is not None:
            shared, siblings = found
            self._limits.append((shared, WorkMeter(siblings), SHARED_BUDGET))

    def look(self) -> str | None:
        """Return why the run has to stop now, in one line, or None."""
        now_s = self._clock()
        if not self._limits or now_s < self._due_s:
            return None
        self._due_s = now_s + CHECK_S
        for budget, meter, whose in self._limits:
            reached = budget.exceeded(meter.seconds(self._run_dir, now_s))
            if reached is not None:
                return f"{whose} is used up: {reached}"
        return None


def _shared(home: LabHome, record: RunRecord) -> tuple[Budget, list[Path]] | None:
    sweep_id = record.sweep.get("id")
    directory = next(home.sweeps_dir.glob(f"{sweep_id}-*"), None) if sweep_id else None
    if directory is None:
        return None
    try:
        sweep = load_sweep(directory)
    except LabError:
        return None
    budget = sweep_budget(home, sweep)
    return (budget, sweep_run_dirs(home, sweep)) if budget.is_limited else None


def sweep_run_dirs(home: LabHome, sweep: Sweep) -> list[Path]:
    """Return the directories of the runs that a sweep has made."""
    wanted = {variant.run_id for variant in sweep.variants if variant.same_as is None}
    found = home.runs_dir.iterdir() if home.runs_dir.is_dir() else iter(())
    return sorted(path for path in found if path.name[:26] in wanted)


def sweep_worked_s(home: LabHome, sweep: Sweep) -> float:
    """Return the seconds that all runs of a sweep were at work."""
    return sum(map(worked_s, sweep_run_dirs(home, sweep)))


def _latest(first: Budget, requests: Path) -> Budget:
    changes = [record for record in read_log(requests) if record.kind == _REQUEST]
    return budget_from(changes[-1].data) if changes else first
