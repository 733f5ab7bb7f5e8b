"""A run with its settings, figures and curves, each read from disk when it is first asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from runs.errors import Corrupt, LabError
from runs.events import number
from runs.files import read_json
from runs.metrics.series import MetricTable, read_metrics, summarize
from runs.paths import LabHome, RunPaths
from runs.record import RunRecord, load_record
from runs.refs import resolve_run
from runs.track.contract import STAGE as TRACKED_STAGE
from runs.track.contract import logged_config
from runs.views.facts import event_files, sizes
from runs.views.kept_cards import KeptCards
from runs.views.query import list_runs, load_run
from runs.views.run_view import RunView
from runs.views.states import ENDED

if TYPE_CHECKING:
    from runs.metrics.series import Curve

# Figures of a plan that are worth a name of their own; its settings are named "stage.key".
PLAN_FIGURES = (
    "device", "tokens", "flops", "steps", "memory_bytes", "disk_bytes", "time_s", "usd",
    "usd_per_hour",
)  # fmt: skip
# Metrics of which more is better; of every other, such as a loss, less is.
_HIGHER = ("accuracy", "core_metric", "mfu", "tok_per_sec", "reward", "score")


class Figures(NamedTuple):
    """What one curve comes down to; None where it holds no number."""

    last: float | None
    min: float | None
    max: float | None
    num: int
    last_step: int | None


class RunCard:
    """One run, read as far as it was asked about. Not for use by several threads at once."""

    def __init__(
        self, view: RunView, *, now_s: float | None = None, kept: KeptCards | None = None
    ) -> None:
        self.view = view
        self._kept = kept
        self.now_s = time.time() if now_s is None else now_s
        self._curves: dict[str, MetricTable] = {}

    def updated(self, view: RunView, *, now_s: float | None = None) -> RunCard:
        """Return a card over a newer view that keeps what cannot have changed since.

        run.json is written once, and figures stand still when a run has ended. A dashboard that
        filters at every key stroke reads each run once that way.
        """
        card = RunCard(view, now_s=now_s, kept=self._kept)
        kept = ["record", "settings"]
        if view.state in ENDED and (view.state, view.ended_s) == (
            self.view.state,
            self.view.ended_s,
        ):
            kept.append("figures")
            card._curves = self._curves
        for name in kept:
            if name in self.__dict__:
                card.__dict__[name] = self.__dict__[name]
        return card

    @cached_property
    def record(self) -> RunRecord | None:
        """The content of run.json; None where it cannot be read."""
        try:
            return load_record(self.view.path)
        except LabError:
            return None

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Every setting by "stage.key", and the plan's own figures by "model.x" and "plan.x"."""
        if self._kept is None:
            return self._read_settings()
        kept = self._kept.settings(self.view.path, self._setting_parts)
        return self._read_settings() if kept is None else kept

    @cached_property
    def figures(self) -> Mapping[str, Figures]:
        """The figures of every curve by "stage.metric", stages in their order, then results."""
        if self._kept is None:
            return self._read_figures()
        rows = self._kept.figures(self.view.path, self.view.state, self._figure_rows)
        try:
            return {key: Figures(*row) for key, row in rows.items()}
        except (TypeError, AttributeError):
            # The file they are kept in holds something else.
            return self._read_figures()

    def _setting_parts(self) -> list[dict[str, Any]] | None:
        # What a tracked script has logged comes from elsewhere, at any time.
        stages = self.record.stages if self.record else ()
        if self.record is None or any(entry.stage == TRACKED_STAGE for entry in stages):
            return None
        parts: list[dict[str, Any]] = [{} for _ in stages]
        for part, entry in zip(parts, stages, strict=True):
            _flatten(entry.stage, entry.config, part)
        return [*parts, _plan_figures(self.record.plan)]

    def _read_settings(self) -> Mapping[str, Any]:
        if self.record is None:
            return {}
        flat: dict[str, Any] = {}
        for entry in self.record.stages:
            _flatten(entry.stage, entry.config, flat)
            if entry.stage == TRACKED_STAGE:
                _flatten(entry.stage, logged_config(RunPaths(self.view.path)), flat)
        return {**flat, **_plan_figures(self.record.plan)}

    def _figure_rows(self) -> dict[str, Sequence[Any]]:
        return {key: tuple(found) for key, found in self._read_figures().items()}

    def _read_figures(self) -> dict[str, Figures]:
        known = self._summary()
        flat: dict[str, Figures] = {}
        for seen in self.view.stages:
            summary = known.get(seen.stage)
            if summary is None:
                summary = {"metrics": summarize(self.curves(seen.stage))}
            for key, found in dict(summary.get("metrics") or {}).items():
                flat[f"{seen.stage}.{key}"] = _figures(found)
            for task, results in (seen.results or {}).items():
                for name, value in results.items():
                    flat[f"{seen.stage}.{task}.{name}"] = Figures(
                        last=value, min=value, max=value, num=1, last_step=seen.step
                    )
        return flat

    def curves(self, stage: str) -> MetricTable:
        """Return the curves of a stage; none when it has not begun."""
        if stage not in self._curves:
            self._curves[stage] = read_metrics(self.view.path, stage)
        return self._curves[stage]

    def curve(self, key: str) -> Curve | None:
        """Return the curve named "stage.metric", if there is one."""
        stage, _, metric = key.partition(".")
        return self.curves(stage).get(metric)

    def _summary(self) -> dict[str, Mapping[str, Any]]:
        # As elsewhere, a summary speaks for a stage only while its logs have not grown since.
        try:
            stages = read_json(RunPaths(self.view.path).summary).get("stages")
        except (OSError, Corrupt):
            return {}
        files = event_files(self.view.path)
        return {
            stage: summary
            for stage, summary in (stages if isinstance(stages, dict) else {}).items()
            if isinstance(summary, dict) and summary.get("files") == sizes(files.get(stage, []))
        }


def load_card(home: LabHome, ref: str) -> RunCard:
    """Return the run that a reference names, or raise what `resolve_run` raises."""
    return RunCard(load_run(resolve_run(home, ref)))


def load_cards(home: LabHome) -> list[RunCard]:
    """Return every run of a lab home, newest first."""
    kept = KeptCards(home)
    return [RunCard(view, kept=kept) for view in list_runs(home)]


def keep_cards(cards: Sequence[RunCard]) -> None:
    """Keep what was read of runs, so that the next filter finds it; never fails."""
    for card in cards[:1]:
        if card._kept is not None:
            card._kept.save()


def is_higher_better(metric: str) -> bool:
    """Return whether more of a metric is better; the metric may carry its stage and task."""
    return metric.rpartition(".")[2] in _HIGHER


def _plan_figures(plan: Mapping[str, Any]) -> dict[str, Any]:
    model = plan.get("model")
    flat: dict[str, Any] = {}
    _flatten("model", model if isinstance(model, dict) else {}, flat)
    return {**flat, **{f"plan.{key}": plan[key] for key in PLAN_FIGURES if key in plan}}


def _flatten(prefix: str, values: Mapping[str, Any], flat: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            _flatten(f"{prefix}.{key}", value, flat)
        else:
            flat[f"{prefix}.{key}"] = value


def _figures(found: Mapping[str, Any]) -> Figures:
    num, last_step = number(found.get("n")), number(found.get("last_step"))
    return Figures(
        last=number(found.get("last")),
        min=number(found.get("min")),
        max=number(found.get("max")),
        num=int(num or 0),
        last_step=None if last_step is None else int(last_step),
    )
