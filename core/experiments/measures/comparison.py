"""Comparisons of the settings of a self-chat, and of its two models, as one family of tests.

Few metrics are compared, so that the correction for being many does not drown a finding; each
answers a question of its own, see PRIMARY. Variety is MTLD and not distinct-n, since settings
that loop talk longer, and distinct-n falls with length alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from core.experiments.measures.measure import Measures, measure_conversation
from core.experiments.measures.verdicts import comparison_verdict
from core.experiments.selfchat.transcript import Experiment, Setting, Side
from runs.statistics import (
    Difference,
    holm,
    paired_difference,
    paired_share_difference,
    unpaired_difference,
)

# How sure the model is, how varied the words are, whether it goes in circles, whether it stays
# on its topic.
PRIMARY = ("entropy_bits", "mtld", "has_loop", "topic_drift")
# A conversation loops as a whole, and side b always speaks a turn further from the topic.
PRIMARY_OF_SIDES = ("entropy_bits", "mtld")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How a differs from b in one metric.

    kind: what a and b are; `where` names the setting in which two sides are compared.
    p: corrected for all comparisons of the experiment (Holm). The interval is of this one alone.
    """

    kind: Literal["settings", "sides"]
    a: str
    b: str
    where: str | None
    metric: str
    difference: Difference
    p: float
    verdict: str


def setting_names(settings: Sequence[Setting]) -> dict[int, str]:
    """Return a name of each setting by index: its label, and what else tells it from others."""
    labels = [one.label for one in settings]
    if len(set(labels)) < len(labels):
        labels = [f"{one.model_a} and {one.model_b}, {one.label}" for one in settings]
    if len(set(labels)) < len(labels):
        labels = [f"{label} #{one.index}" for one, label in zip(settings, labels, strict=True)]
    return {one.index: label for one, label in zip(settings, labels, strict=True)}


def compare_all(
    experiment: Experiment, measures: Mapping[int, Measures], *, seed: int = 0
) -> tuple[Comparison, ...]:
    """Return how settings differ pair by pair and, where two models talk, how their sides do.

    Settings are paired over topic and seed, or compared as independent samples where they share
    none; sides are paired within conversations. What is undefined on one side is left out.
    """
    drafts = [
        *_between_settings(experiment, measures, seed),
        *_between_sides(experiment, seed),
    ]
    corrected = holm([one.difference.p for one in drafts])
    reachable = holm([one.difference.min_p for one in drafts])
    return tuple(
        Comparison(
            kind="settings" if one.where is None else "sides",
            a=one.a,
            b=one.b,
            where=one.where,
            metric=one.metric,
            difference=one.difference,
            p=p,
            verdict=comparison_verdict(
                (one.a, one.b),
                where=one.where,
                metric=one.metric,
                found=one.difference,
                p=p,
                reachable_p=lowest,
                num_tests=len(drafts),
            ),
        )
        for one, p, lowest in zip(drafts, corrected, reachable, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    a: str
    b: str
    where: str | None
    metric: str
    difference: Difference


def _between_settings(
    experiment: Experiment, measures: Mapping[int, Measures], seed: int
) -> Iterator[_Draft]:
    names = setting_names(experiment.settings)
    for a, b in combinations(experiment.settings, 2):
        for metric in PRIMARY:
            difference = _difference(
                _values(experiment, measures, a.index, metric),
                _values(experiment, measures, b.index, metric),
                seed,
                is_share=metric == "has_loop",
            )
            if difference is not None:
                yield _Draft(
                    a=names[a.index],
                    b=names[b.index],
                    where=None,
                    metric=metric,
                    difference=difference,
                )


def _between_sides(experiment: Experiment, seed: int) -> Iterator[_Draft]:
    names = setting_names(experiment.settings)
    for setting in experiment.settings:
        if setting.model_a == setting.model_b:
            continue
        talks = experiment.of_setting(setting.index)
        sides: dict[Side, list[Measures]] = {
            side: [measure_conversation(one, side=side, only=PRIMARY_OF_SIDES) for one in talks]
            for side in ("a", "b")
        }
        for metric in PRIMARY_OF_SIDES:
            pairs = [(a[metric], b[metric]) for a, b in zip(sides["a"], sides["b"], strict=True)]
            known = [(a, b) for a, b in pairs if a is not None and b is not None]
            if known:
                first, second = zip(*known, strict=True)
                yield _Draft(
                    a="A",
                    b="B",
                    where=names[setting.index],
                    metric=metric,
                    difference=paired_difference(first, second, seed=seed),
                )


def _values(
    experiment: Experiment, measures: Mapping[int, Measures], setting: int, metric: str
) -> dict[tuple[str, int], float]:
    """Return the defined values of a metric under a setting, by topic and seed."""
    found = {
        (one.topic, one.seed): measures[one.number][metric]
        for one in experiment.of_setting(setting)
        if one.turns
    }
    return {key: value for key, value in found.items() if value is not None}


def _difference(
    a: Mapping[tuple[str, int], float],
    b: Mapping[tuple[str, int], float],
    seed: int,
    *,
    is_share: bool,
) -> Difference | None:
    shared = [key for key in a if key in b]
    if shared and is_share:
        held = [[bool(side[key]) for key in shared] for side in (a, b)]
        return paired_share_difference(held[0], held[1], seed=seed)
    if shared:
        return paired_difference([a[key] for key in shared], [b[key] for key in shared], seed=seed)
    if a and b:
        return unpaired_difference(list(a.values()), list(b.values()), seed=seed)
    return None
