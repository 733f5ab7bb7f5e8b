"""Runs that are equal but for their seeds: what a lab knows about its own noise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runs.metrics.run_curve import run_curve
from runs.views.card import RunCard

# These change what is kept or printed, never what is learned.
WITHOUT_EFFECT = frozenset(
    {"save_every", "keep_checkpoints", "keep_best", "checkpoint_budget_gb", "sample_every"}
)
_INPUTS = ("corpus", "tokenizer", "conversations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The final value of one finished run."""

    run_id: str
    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedGroup:
    """Final values of runs with the same settings and inputs, each with seeds of its own.

    is_one_commit: whether all of them ran the same code.
    """

    key: str
    samples: tuple[Sample, ...]
    is_one_commit: bool

    @property
    def values(self) -> list[float]:
        """The final values."""
        return [sample.value for sample in self.samples]

    def holds(self, run_id: str) -> bool:
        """Return whether a run belongs to this group."""
        return any(sample.run_id == run_id for sample in self.samples)


def seed_groups(
    cards: Sequence[RunCard], stage: str, metric: str, run_ids: Sequence[str] = ()
) -> list[SeedGroup]:
    """Return the groups of two and more finished runs, the order of the runs kept.

    Those that hold one of `run_ids`, where there are such: nobody reads the curves of a whole lab
    to learn what two runs tell. Of runs with the same seeds only the first counts: a repetition
    tells nothing about seeds.
    """
    members: dict[str, list[RunCard]] = {}
    for card in cards:
        if _is_finished(card, stage):
            members.setdefault(seedless_key(card, stage), []).append(card)
    wanted = set(run_ids)
    own = {
        key: found
        for key, found in members.items()
        if wanted & {card.view.run_id for card in found}
    }
    return _groups(own, stage, metric) or _groups(members, stage, metric)


def _groups(members: Mapping[str, list[RunCard]], stage: str, metric: str) -> list[SeedGroup]:
    groups = []
    for key, cards in members.items():
        if len({seeds_of(card, stage) for card in cards}) < 2:
            continue
        by_seeds: dict[str, tuple[RunCard, Sample]] = {}
        for card in cards:
            sample = _sample(card, stage, metric)
            if sample is not None:
                by_seeds.setdefault(seeds_of(card, stage), (card, sample))
        if len(by_seeds) > 1:
            commits = {_commit(card) for card, _ in by_seeds.values()}
            samples = tuple(sample for _, sample in by_seeds.values())
            groups.append(SeedGroup(key=key, samples=samples, is_one_commit=len(commits) == 1))
    return groups


def seedless_key(card: RunCard, stage: str) -> str:
    """Return a text that is equal for runs that are equal up to a stage, but for their seeds."""
    settings = {
        key: value
        for key, value in card.settings.items()
        if _stage_counts(card, key, stage)
        and key.rpartition(".")[2] not in WITHOUT_EFFECT
        and not key.endswith(".seed")
    }
    inputs = card.record.inputs if card.record else {}
    marks = {name: inputs[name].get("sha256") for name in _INPUTS if name in inputs}
    return json.dumps([settings, marks, _validation(card, stage)], sort_keys=True, default=str)


def seeds_of(card: RunCard, stage: str) -> str:
    """Return the seeds that a run had up to a stage, as one text."""
    seeds = {
        key: value
        for key, value in card.settings.items()
        if key.endswith(".seed") and _stage_counts(card, key, stage)
    }
    return json.dumps(seeds, sort_keys=True)


def _stage_counts(card: RunCard, key: str, stage: str) -> bool:
    # What comes after the stage, or only measures it, has no effect on it.
    order = [entry.stage for entry in card.view.stages]
    at = key.partition(".")[0]
    if at not in order or stage not in order or at.startswith("eval-"):
        return at == stage
    return order.index(at) <= order.index(stage)


def _is_finished(card: RunCard, stage: str) -> bool:
    return any(seen.stage == stage and seen.state == "finished" for seen in card.view.stages)


def _sample(card: RunCard, stage: str, metric: str) -> Sample | None:
    curve = run_curve(card, stage, metric)
    if curve is None:
        return None
    return Sample(run_id=card.view.run_id, name=card.view.name, value=curve.final)


def _validation(card: RunCard, stage: str) -> str | None:
    return next((seen.val_sha256 for seen in card.view.stages if seen.stage == stage), None)


def _commit(card: RunCard) -> str:
    git = card.record.git if card.record else {}
    return f"{git.get('sha')} {git.get('is_dirty')}"
