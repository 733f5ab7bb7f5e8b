"""A self-chat as a terminal shows it: what was found, and the conversations one by one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.experiments.measures.entropy import mean_entropy_bits
from core.experiments.measures.summary import SettingSummary, Summary
from core.experiments.report.figures import (
    compared,
    estimate_of,
    in_a_word,
    metric_title,
    p_text,
    short_names,
    telling_metric_names,
    verdicts,
    what_was_run,
    with_interval,
)
from core.experiments.report.strips import turn_means_bits, turn_scale_bits
from core.experiments.selfchat.transcript import Conversation, Experiment
from labcli.selfchat.look import Look, plain
from labcli.text.cells import cut, width
from labcli.text.figures import figure
from labcli.text.styled import Style

MAX_COMPARISONS = 20
MAX_LISTED = 40
MAX_NAME = 24
MIN_SPARKLINE = 8
MAX_SPARKLINE = 40
GAP = INDENT = "  "


def render_experiment(experiment: Experiment, summary: Summary, look: Look) -> str:
    """Return everything about a self-chat but what was said, in lines that fit."""
    sections = [
        look.wrapped(what_was_run(experiment)),
        [_title("Verdicts", look), *_verdicts(summary, look)],
        [_title("Settings", look), *_settings(summary, look)],
        *([_comparisons(summary, look)] if summary.comparisons else []),
        [_title("Conversations", look), *list_conversations(experiment, summary, look)],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections)


def _title(text: str, look: Look) -> str:
    return look.paint(text, Style.BOLD)


def _verdicts(summary: Summary, look: Look) -> list[str]:
    return [line for one in verdicts(summary) for line in look.wrapped(one, "- ", "  ")]


def _settings(summary: Summary, look: Look) -> list[str]:
    """Metrics by settings; settings that do not fit side by side follow below."""
    # The same figures in another unit are left to the exports.
    names = telling_metric_names(summary)
    titles = [metric_title(name) for name in names]
    lead = min(max(map(width, ["", *titles])), look.width // 2)
    lines = [look.paint(line, Style.DIM) for line in look.wrapped(
        "Means over conversations, with 95% intervals in brackets.")]  # fmt: skip
    short = short_names(summary, MAX_NAME)
    for one in summary.settings:
        name = short[one.setting.index]
        lines += [] if name == one.name else look.wrapped(f"{name}: {one.name}")
    columns = [_setting_column(one, short[one.setting.index], names) for one in summary.settings]
    for band in _bands(columns, look.width - lead):
        for row, title in enumerate(["", *titles]):
            cells = [cut(title, lead).ljust(lead)]
            cells += [_right(column[row], _wide(column)) for column in band]
            line = cut(GAP.join(cells).rstrip(), look.width)
            lines.append(look.paint(line, Style.BOLD) if row == 0 else line)
        lines.append("")
    return lines[:-1]


def _setting_column(one: SettingSummary, name: str, metrics: Sequence[str]) -> list[str]:
    cells = [with_interval(one.metrics.get(metric)) for metric in metrics]
    return [cut(plain(name), MAX_NAME), *cells]


def _wide(column: Sequence[str]) -> int:
    return max(map(width, column))


def _bands(columns: Sequence[list[str]], room: int) -> Iterator[list[list[str]]]:
    band: list[list[str]] = []
    used = 0
    for column in columns:
        needed = _wide(column) + len(GAP)
        if band and used + needed > room:
            yield band
            band, used = [], 0
        band.append(column)
        used += needed
    if band:
        yield band


def _comparisons(summary: Summary, look: Look) -> list[str]:
    """What differs, pair by pair; the surest of many."""
    limit = sorted(one.p for one in summary.comparisons)[:MAX_COMPARISONS][-1]
    shown = [one for one in summary.comparisons if one.p <= limit][:MAX_COMPARISONS]
    rows = [
        [metric_title(one.metric), with_interval(estimate_of(one.difference)),
         f"p {p_text(one.p)}", in_a_word(one.difference.difference, one.p, one.verdict)]
        for one in shown
    ]  # fmt: skip
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = [_title("Comparisons", look)]
    heading = None
    for one, (metric, figures, p, word) in zip(shown, rows, strict=True):
        if compared(one) != heading:
            heading = compared(one)
            lines += look.wrapped(heading, "", INDENT)
        cells = [metric.ljust(widths[0]), _right(figures, widths[1]), p.ljust(widths[2]), word]
        lines.append(cut(INDENT + GAP.join(cells), look.width))
    more = len(summary.comparisons) - len(shown)
    note = "The first minus the second; p is corrected for all comparisons together (Holm)."
    note += f" {more} less sure ones are in the exports." if more else ""
    return [*lines, *(look.paint(line, Style.DIM) for line in look.wrapped(note))]


def list_conversations(experiment: Experiment, summary: Summary, look: Look) -> list[str]:
    """Return a line per conversation, the mean entropy of its turns as a row of bars."""
    names = {index: plain(name) for index, name in short_names(summary, MAX_NAME).items()}
    top = turn_scale_bits(experiment)
    shown = experiment.conversations[:MAX_LISTED]
    rows = [_row(one, names.get(one.setting, "")) for one in shown]
    head = ["#", "setting", "seed", "turns", "end", "bits"]
    widths = [max(map(width, column)) for column in zip(head, *rows, strict=True)]
    used = sum(widths) + len(GAP) * len(widths)
    most = max((len(one.turns) for one in shown), default=0)
    room = max(look.width - used, MIN_SPARKLINE)
    spark = min(max(most, len("by turn")), max(MIN_SPARKLINE, room // 2), MAX_SPARKLINE)
    lines = [look.paint(_joined([*head, "by turn".ljust(spark), "topic"], widths, look), Style.DIM)]
    for one, row in zip(shown, rows, strict=True):
        values = turn_means_bits(one)
        bars = look.strip(values, spark, top) + " " * (spark - min(len(values), spark))
        topic = cut(plain(one.topic), max(room - spark - len(GAP), 0))
        plain_part = _joined(row, widths, look)
        lines.append(f"{plain_part}{GAP}{bars}{GAP}{topic}".rstrip())
    if len(experiment.conversations) > len(shown):
        lines += look.wrapped(f"{len(experiment.conversations) - len(shown)} more are not listed.")
    return [*lines, *look.legend(top)]


def _row(one: Conversation, name: str) -> list[str]:
    return [
        str(one.number),
        cut(name, MAX_NAME),
        str(one.seed),
        str(len(one.turns)),
        one.end or "going on",
        figure(mean_entropy_bits(one.turns), 2),
    ]


def _joined(cells: Sequence[str], widths: Sequence[int], look: Look) -> str:
    padded = [
        text + " " * (widths[at] - width(text)) if at in (1, 4) else _right(text, widths[at])
        for at, text in enumerate(cells[: len(widths)])
    ]
    return cut(GAP.join([*padded, *cells[len(widths) :]]), look.width)


def _right(text: str, wanted: int) -> str:
    return " " * (wanted - width(text)) + text
