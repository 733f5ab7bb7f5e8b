"""What the plots of a self-chat show, taken from its summary and its conversations. Pure."""

from __future__ import annotations

from core.experiments.measures.entropy import mean_entropy_bits
from core.experiments.measures.summary import Summary, Trend
from core.experiments.report.figures import short_names
from core.experiments.report.plots import MAX_LABEL, Curve, Spread
from core.experiments.selfchat.transcript import Experiment
from runs.statistics import Estimate


def curves_of(summary: Summary, metric: str) -> tuple[Curve, ...]:
    """Return how a metric goes over the turns, a curve per setting that has it."""
    names = short_names(summary, MAX_LABEL)
    return tuple(
        Curve(name=names[one.setting], points=_with_gaps(one))
        for one in summary.trends
        if one.metric == metric
    )


def entropy_spreads(experiment: Experiment, summary: Summary) -> tuple[Spread, ...]:
    """Return each setting's mean entropies in bits, one per conversation."""
    names = short_names(summary, MAX_LABEL)
    return tuple(
        Spread(
            name=names[one.setting.index],
            values=tuple(
                bits
                for talk in experiment.of_setting(one.setting.index)
                if (bits := mean_entropy_bits(talk.turns)) is not None
            ),
            estimate=one.metrics.get("entropy_bits"),
        )
        for one in summary.settings
    )


def _with_gaps(trend: Trend) -> tuple[Estimate | None, ...]:
    known = dict(trend.points)
    return tuple(known.get(index) for index in range(max(known) + 1))
