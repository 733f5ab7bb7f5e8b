"""The report of a self-chat as Markdown: verdicts first, then the figures, then a sample."""

from __future__ import annotations

from core.experiments.measures.summary import Summary
from core.experiments.report.figures import (
    compared,
    definition,
    estimate_of,
    metric_names,
    metric_title,
    p_text,
    sentence,
    verdicts,
    what_was_run,
    with_interval,
)
from core.experiments.report.markup import shown
from core.experiments.report.strips import mean_of, turn_means_bits
from core.experiments.selfchat.transcript import Conversation, Experiment
from core.markdown import fence, table

MAX_SAMPLE_TURNS = 8


def render_report(experiment: Experiment, summary: Summary, *, run_id: str = "") -> str:
    """Return the whole report as Markdown."""
    run = f"\n\nRun `{run_id}`." if run_id else ""
    sections = [
        f"# Self-chat\n\n{_line(what_was_run(experiment))}{run}",
        "## Verdicts\n\n" + "\n".join(f"- {_line(one)}" for one in verdicts(summary)),
        "## Settings\n\nMeans over conversations, with 95% intervals in brackets.\n\n"
        + _settings(summary),
        "## Comparisons\n\n" + _comparisons(summary),
        "## A sample\n\n" + _samples(experiment, summary),
        "## What the figures mean\n\n" + _definitions(summary),
    ]
    return "\n\n".join(sections) + "\n"


def _settings(summary: Summary) -> str:
    rows = [
        [metric_title(name), *(with_interval(one.metrics.get(name)) for one in summary.settings)]
        for name in metric_names(summary)
    ]
    return table(["Metric", *(_line(one.name) for one in summary.settings)], rows)


def _comparisons(summary: Summary) -> str:
    if not summary.comparisons:
        return "One setting was tried: there is nothing to compare it with."
    rows = [
        [
            _line(compared(one)),
            metric_title(one.metric),
            with_interval(estimate_of(one.difference)),
            p_text(one.p),
            _line(sentence(one.verdict)),
        ]
        for one in summary.comparisons
    ]
    note = "p is corrected for all comparisons together (Holm); an interval is of its own alone."
    return note + "\n\n" + table(["Between", "Metric", "Difference", "p", "Verdict"], rows)


def _samples(experiment: Experiment, summary: Summary) -> str:
    """The beginning of one conversation per setting: the first that was held."""
    parts = []
    for one in summary.settings:
        talks = [talk for talk in experiment.of_setting(one.setting.index) if talk.turns]
        if talks:
            parts += [f"### {_line(one.name)}", fence(_sample(talks[0]))]
    return "\n\n".join(parts) or "No conversation was held."


def _sample(one: Conversation) -> str:
    means = turn_means_bits(one)
    lines = [f"#{one.number}, seed {one.seed}. Topic: {shown(one.topic)}"]
    for turn, bits in list(zip(one.turns, means, strict=True))[:MAX_SAMPLE_TURNS]:
        told = "" if bits is None else f" ({bits:.2f} bits per token)"
        lines += ["", f"{turn.side.upper()}{told}: {shown(turn.text)}"]
    left = len(one.turns) - MAX_SAMPLE_TURNS
    if left > 0:
        overall = mean_of(means[MAX_SAMPLE_TURNS:])
        told = "" if overall is None else f", {overall:.2f} bits per token on average"
        lines += ["", f"({left} more turns{told})"]
    return "\n".join(lines)


def _definitions(summary: Summary) -> str:
    return "\n".join(
        f"- {metric_title(name)}: {definition(name)}" for name in metric_names(summary)
    )


def _line(raw: str) -> str:
    """Return a text on one line, with what Markdown or HTML would read as marks taken literally."""
    safe = " ".join(shown(raw).split())
    return "".join(f"\\{char}" if char in "\\`*_[]<>#!" else char for char in safe)
