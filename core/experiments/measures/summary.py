"""The findings of a self-chat: every metric under every setting, its trends, and comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.experiments.measures.comparison import Comparison, compare_all, setting_names
from core.experiments.measures.measure import Measures, measure_all, measure_turn
from core.experiments.measures.metrics import METRICS
from core.experiments.measures.verdicts import SIGNIFICANCE, Tested, Told, setting_verdict
from core.experiments.selfchat.transcript import Conversation, Experiment, Setting
from runs.statistics import Estimate, mean_interval, share_interval

# What is followed from turn to turn.
TREND_METRICS = ("entropy_bits", "similarity_to_previous", "topic_drift")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingSummary:
    """What was measured under one setting; metrics by name, None where none is defined."""

    setting: Setting
    name: str
    num_conversations: int
    metrics: Mapping[str, Estimate | None]
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A metric by turn under one setting: (turn index, estimate over conversations).

    Later turns are those of the conversations that got so far, see each estimate's num.
    """

    setting: int
    name: str
    metric: str
    points: tuple[tuple[int, Estimate], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All findings; verdict is the clearest of them in one sentence."""

    settings: tuple[SettingSummary, ...]
    comparisons: tuple[Comparison, ...]
    trends: tuple[Trend, ...]
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """Return what `labcli selfchat --json` prints, but for the run's id; no NaN in it."""
        return {
            "settings": [_setting_row(one) for one in self.settings],
            "comparisons": [_comparison_row(one) for one in self.comparisons],
            "trends": [_trend_row(one) for one in self.trends],
        }


def summarise(experiment: Experiment, *, seed: int = 0) -> Summary:
    """Return the findings of an experiment; conversations without a turn are left out.

    Means and intervals are over conversations: they speak of the topics that were asked, and
    take conversations as independent (for self_bleu, which compares them, that is generous).
    """
    talks = tuple(one for one in experiment.conversations if one.turns)
    held = Experiment(settings=experiment.settings, conversations=talks)
    measures = measure_all(held)
    names = setting_names(held.settings)
    settings = tuple(
        _summarise_setting(one, names[one.index], held.of_setting(one.index), measures, seed)
        for one in held.settings
    )
    comparisons = compare_all(held, measures, seed=seed)
    return Summary(
        settings=settings,
        comparisons=comparisons,
        trends=tuple(
            trend
            for one in held.settings
            for trend in trends_of(
                one.index, names[one.index], held.of_setting(one.index), seed=seed
            )
        ),
        verdict=headline(settings, comparisons),
    )


def _summarise_setting(
    setting: Setting,
    name: str,
    talks: Sequence[Conversation],
    measures: Mapping[int, Measures],
    seed: int,
) -> SettingSummary:
    values = {
        metric.name: _known(measures[one.number][metric.name] for one in talks)
        for metric in METRICS
    }
    metrics = {key: mean_interval(found, seed=seed) if found else None
               for key, found in values.items()}  # fmt: skip
    num_loops = int(sum(values["has_loop"]))
    if talks:
        metrics["has_loop"] = share_interval(num_loops, len(talks))
    lengths = {len(one.turns) for one in talks}
    return SettingSummary(
        setting=setting,
        name=name,
        num_conversations=len(talks),
        metrics=metrics,
        verdict=setting_verdict(
            name,
            change=metrics["entropy_change_bits"],
            num_turns=lengths.pop() if len(lengths) == 1 else None,
            num_loops=num_loops,
            num_conversations=len(talks),
        ),
    )


def trends_of(
    setting: int,
    name: str,
    talks: Sequence[Conversation],
    metrics: Sequence[str] = TREND_METRICS,
    *,
    seed: int = 0,
) -> list[Trend]:
    """Return how metrics of scope turn go over the turns of a setting's conversations."""
    by_turn: dict[int, list[Measures]] = {}
    for one in talks:
        for place, turn in enumerate(one.turns):
            by_turn.setdefault(turn.index, []).append(measure_turn(one, place, only=metrics))
    trends = []
    for metric in metrics:
        known = {
            index: _known(found[metric] for found in by_turn[index]) for index in sorted(by_turn)
        }
        points = tuple(
            (index, mean_interval(values, seed=seed)) for index, values in known.items() if values
        )
        if points:
            trends.append(Trend(setting=setting, name=name, metric=metric, points=points))
    return trends


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def headline(settings: Sequence[Told], comparisons: Sequence[Tested]) -> str:
    """Return the surest difference; without one, what the first comparison or setting says."""
    if comparisons:
        surest = min(comparisons, key=lambda one: one.p)
        return (surest if surest.p < SIGNIFICANCE else comparisons[0]).verdict
    return settings[0].verdict if settings else "no setting was tried"


def _setting_row(one: SettingSummary) -> dict[str, Any]:
    setting = one.setting
    return {
        "temperature": setting.temperature,
        "top_k": setting.top_k,
        "top_p": setting.top_p,
        "min_p": setting.min_p,
        "repetition_penalty": setting.repetition_penalty,
        "model_a": setting.model_a,
        "model_b": setting.model_b,
        "name": one.name,
        "conversations": one.num_conversations,
        "verdict": one.verdict,
        "metrics": {
            name: {"mean": None, "ci_low": None, "ci_high": None, "n": 0}
            if found is None
            else _estimate_row(found)
            for name, found in one.metrics.items()
        },
    }


def _comparison_row(one: Comparison) -> dict[str, Any]:
    place = "" if one.where is None else f" at {one.where}"
    return {
        "a": f"{one.a}{place}",
        "b": f"{one.b}{place}",
        "metric": one.metric,
        "difference": one.difference.difference,
        "ci_low": one.difference.ci_low,
        "ci_high": one.difference.ci_high,
        "p": one.p,
        "verdict": one.verdict,
    }


def _trend_row(one: Trend) -> dict[str, Any]:
    return {
        "setting": one.name,
        "metric": one.metric,
        "turns": [{"turn": index, **_estimate_row(found)} for index, found in one.points],
    }


def _estimate_row(found: Estimate) -> dict[str, Any]:
    return {
        "mean": found.mean,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "n": found.num,
    }
