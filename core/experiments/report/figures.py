"""The figures of a self-chat in words: what terminals, reports and tables say alike. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from core.experiments.measures.comparison import Comparison, setting_names
from core.experiments.measures.metrics import METRICS, Metric
from core.experiments.measures.summary import SettingSummary
from core.experiments.measures.verdicts import SIGNIFICANCE, Findings
from core.experiments.selfchat.transcript import (
    Conversation,
    ConversationEnd,
    Experiment,
    Setting,
)
from runs.statistics import Difference, Estimate

ABSENT = "-"
END_WORDS: Mapping[ConversationEnd | None, str] = {
    "max_turns": "after all turns",
    "loop": "in a loop",
    "context": "with the context full",
    "budget": "with the budget spent",
    "empty": "with an empty turn",
    None: "not yet",
}
# Endings of a metric's name that repeat its unit.
_UNIT_ENDINGS = ("_bits", "_nats", "_tokens")
_METRICS: Mapping[str, Metric] = {one.name: one for one in METRICS}


class Measured(Protocol):
    """Whatever holds what was measured under each setting."""

    @property
    def settings(self) -> Sequence[SettingSummary]:
        """The settings in their order."""


def metric_title(name: str) -> str:
    """Return a metric's name in words, with its unit where the metric is one of ours."""
    known = _METRICS.get(name)
    if known is None:
        return name.replace("_", " ")
    ending = next((end for end in _UNIT_ENDINGS if name.endswith(end)), "")
    words = name if name.startswith("num_") else name.removesuffix(ending)
    title = words.removeprefix("num_").replace("_", " ")
    return title if title == known.unit else f"{title} ({known.unit})"


def definition(name: str) -> str:
    """Return what a metric is, in words; nothing for a foreign one."""
    known = _METRICS.get(name)
    return "" if known is None else known.definition


def with_interval(estimate: Estimate | None) -> str:
    """Return an estimate with its interval: 2.31 [2.19, 2.43]."""
    if estimate is None:
        return ABSENT
    return interval_text(estimate.mean, estimate.ci_low, estimate.ci_high)


def interval_text(mean: float, low: float | None, high: float | None) -> str:
    """Return a value with its interval, where it has one."""
    digits = _digits(mean, low, high)
    if low is None or high is None:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def digits_of(estimate: Estimate) -> int:
    """Return how many decimals an estimate is worth showing with."""
    return _digits(estimate.mean, estimate.ci_low, estimate.ci_high)


def _digits(mean: float, low: float | None, high: float | None) -> int:
    size = max(abs(mean), abs(low or 0.0), abs(high or 0.0))
    if size == 0 or 0.0995 <= size < 100:
        return 2
    return 4 if size < 0.00995 else 3 if size < 0.1 else 1 if size < 1000 else 0


def p_text(p: float | None) -> str:
    """Return a p value as it is quoted."""
    if p is None:
        return ABSENT
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def num_tokens(conversation: Conversation) -> int:
    """Return how many tokens the turns of a conversation have, a tool's among them."""
    return sum(len(turn.tokens.ids) for turn in conversation.turns)


def what_was_run(experiment: Experiment) -> str:
    """Return one sentence: how many conversations, of which models, and how they ended."""
    conversations = experiment.conversations
    models = sorted({name for one in experiment.settings for name in (one.model_a, one.model_b)})
    topics = len({one.topic for one in conversations})
    turns = sum(len(one.turns) for one in conversations)
    tokens = sum(map(num_tokens, conversations))
    ends = [one.end for one in conversations]
    told = [f"{ends.count(end)} {words}" for end, words in END_WORDS.items() if end in ends]
    return (
        f"{_counted(len(conversations), 'conversation')} of {_listed(models)} about "
        f"{_counted(topics, 'topic')} under {_counted(len(experiment.settings), 'setting')}: "
        f"{_counted(turns, 'turn')}, {_counted(tokens, 'token')}. They ended: "
        f"{', '.join(told) or 'none was begun'}."
    )


def sentence(verdict: str) -> str:
    """Return a verdict as a sentence."""
    return f"{verdict[:1].upper()}{verdict[1:]}."


def verdicts(summary: Findings) -> list[str]:
    """Return what was found, as sentences: the clearest finding, then the settings one by one.

    Comparisons that show a difference follow; what they do not show is left to their table.
    """
    shown = [one.verdict for one in summary.comparisons if one.p < SIGNIFICANCE]
    told = [summary.verdict, *(one.verdict for one in summary.settings), *shown]
    return [sentence(one) for one in dict.fromkeys(told)]


def in_a_word(difference: float, p: float, verdict: str) -> str:
    """Return a comparison's verdict in a word or two; its sentence stands elsewhere."""
    if p < SIGNIFICANCE:
        return "higher" if difference > 0 else "lower"
    return " ".join(verdict.split()[: 3 if verdict.startswith("too few") else 2])


def compared(one: Comparison) -> str:
    """Return what a comparison compares: two settings, or two sides of one."""
    return f"{one.a} against {one.b}{'' if one.where is None else f' at {one.where}'}"


def estimate_of(difference: Difference) -> Estimate:
    """Return a difference as an estimate, to be shown like one."""
    return Estimate(
        mean=difference.difference,
        ci_low=difference.ci_low,
        ci_high=difference.ci_high,
        num=difference.num,
    )


def short_names(summary: Measured, max_chars: int) -> dict[int, str]:
    """Return a name of each setting by index; where one is too long, all go by their numbers."""
    return short_names_of([one.setting for one in summary.settings], max_chars)


def short_names_of(settings: Sequence[Setting], max_chars: int) -> dict[int, str]:
    """Return the same of settings that nothing is known about yet."""
    names = setting_names(settings)
    if all(len(name) <= max_chars for name in names.values()):
        return names
    return {one.index: f"#{one.index} {one.label}"[:max_chars] for one in settings}


def metric_names(summary: Measured) -> list[str]:
    """Return the metrics that are defined under some setting, in their order."""
    names = dict.fromkeys(name for one in summary.settings for name in one.metrics)
    return [name for name in names if any(one.metrics.get(name) for one in summary.settings)]


def telling_metric_names(summary: Measured) -> list[str]:
    """Return the metrics without those that say the same in another unit."""
    names = metric_names(summary)
    return [
        name
        for name in names
        if not name.endswith("_nats") or name.replace("_nats", "_bits") not in names
    ]


def _listed(names: Sequence[str]) -> str:
    *first, last = names or ("no model",)
    return f"{', '.join(first)} and {last}" if first else last


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
