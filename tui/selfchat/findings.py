"""What a self-chat found, read from its summary, and as lines: verdicts, settings, comparisons."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.experiments.measures.summary import SettingSummary, headline
from core.experiments.measures.verdicts import SIGNIFICANCE
from core.experiments.report.figures import (
    definition,
    in_a_word,
    interval_text,
    metric_title,
    p_text,
    short_names,
    telling_metric_names,
    verdicts,
    with_interval,
)
from core.experiments.selfchat.archive import SUMMARY_FILE
from core.experiments.selfchat.transcript import Setting
from runs.errors import Corrupt
from runs.statistics import Estimate
from tui.answering.rows import AnswerRows
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, Tone, ToneLine

MAX_NAME = 24
MAX_COMPARED = 40
GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How a differs from b in one metric; p is corrected for all comparisons (Holm)."""

    a: str
    b: str
    metric: str
    difference: float
    ci_low: float | None
    ci_high: float | None
    p: float
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that was found; verdict is the clearest of it in one sentence."""

    settings: tuple[SettingSummary, ...]
    comparisons: tuple[Compared, ...]
    verdict: str


def read_findings(artifacts_dir: Path, settings: Sequence[Setting]) -> Findings | None:
    """Return the findings of a self-chat that has ended, None before.

    Raises:
        Corrupt: they cannot be read.
    """
    path = artifacts_dir / SUMMARY_FILE
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise Corrupt(f"{path} cannot be read") from None
    try:
        rows = zip(settings, body["settings"], strict=True)
        measured = tuple(_setting(setting, row) for setting, row in rows)
        compared = tuple(Compared(**row) for row in body["comparisons"])
    except (ValueError, KeyError, TypeError):
        raise Corrupt(f"{path} does not hold the findings of its self-chat") from None
    return Findings(settings=measured, comparisons=compared, verdict=headline(measured, compared))


def finding_lines(findings: Findings, width: int, glyphs: Glyphs) -> tuple[ToneLine, ...]:
    """Return verdicts, the table of settings and the comparisons; tables fit into the width."""
    lines = [_title("Verdicts")]
    for place, told in enumerate(verdicts(findings)):
        tone: Tone = "strong" if place == 0 else "plain"
        for number, text in enumerate(_wrapped(told, max(width - 2, 10))):
            lead = f"{glyphs.point} " if number == 0 else "  "
            lines.append(ToneLine((Piece(lead, "quiet"), Piece(text, tone))))
    lines += [_blank(), _title("Settings, by mean and 95 % interval over conversations")]
    lines += _settings(findings, width, glyphs)
    if findings.comparisons:
        lines += [_blank(), _title("Comparisons, with p corrected for all of them (Holm)")]
        lines += _comparisons(findings.comparisons, glyphs)
    lines += [_blank(), _title("What the measures are"), *_definitions(findings)]
    return tuple(lines)


def _settings(findings: Findings, width: int, glyphs: Glyphs) -> Iterator[ToneLine]:
    """Yield metrics by settings; settings that do not fit side by side follow below."""
    names = telling_metric_names(findings)
    titles = [metric_title(name) for name in names]
    lead = min(max(map(len, ["conversations", *titles])), max(width // 2, 12))
    short = short_names(findings, MAX_NAME)
    columns = [
        [
            glyphs.cut(short[one.setting.index], MAX_NAME),
            str(one.num_conversations),
            *(with_interval(one.metrics.get(name)) for name in names),
        ]
        for one in findings.settings
    ]
    widths = [max(map(len, column)) for column in columns]
    for band in _bands(widths, width - lead):
        for row, title in enumerate(["", "conversations", *titles]):
            cells = [columns[place][row].rjust(widths[place]) for place in band]
            tone: Tone = "strong" if row == 0 else "plain"
            name = glyphs.cut(title, lead).ljust(lead)
            yield ToneLine((Piece(name, "quiet"), Piece(GAP + GAP.join(cells), tone)))


def _bands(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    band: list[int] = []
    used = 0
    for place, width in enumerate(widths):
        if band and used + width + len(GAP) > room:
            yield band
            band, used = [], 0
        band.append(place)
        used += width + len(GAP)
    if band:
        yield band


def _comparisons(compared: Sequence[Compared], glyphs: Glyphs) -> Iterator[ToneLine]:
    shown = sorted(compared, key=lambda one: one.p)[:MAX_COMPARED]
    rows = [
        (metric_title(one.metric), interval_text(one.difference, one.ci_low, one.ci_high))
        for one in shown
    ]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for one, (metric, figures) in zip(shown, rows, strict=True):
        is_sure = one.p < SIGNIFICANCE
        mark = glyphs.alert if is_sure else glyphs.absent
        yield ToneLine(
            (
                Piece(f"{mark} ", "warning" if is_sure else "quiet"),
                Piece(metric.ljust(wide[0]), "plain"),
                Piece(f"{GAP}{figures.rjust(wide[1])}", "strong" if is_sure else "plain"),
                Piece(f"{GAP}p {p_text(one.p):6}", "plain"),
                Piece(f"{GAP}{in_a_word(one.difference, one.p, one.verdict)}", "plain"),
                Piece(f"{GAP}{one.a} minus {one.b}", "quiet"),
            )
        )
    if len(compared) > len(shown):
        more = f"{len(compared) - len(shown)} less sure ones are in the exports"
        yield ToneLine((Piece(more, "quiet"),))


def _definitions(findings: Findings) -> Iterator[ToneLine]:
    for name in telling_metric_names(findings):
        text = f"  {definition(name)}"
        yield ToneLine((Piece(metric_title(name), "strong"), Piece(text, "quiet")))


def _wrapped(text: str, width: int) -> Iterator[str]:
    lines = AnswerRows(width)
    lines.feed(text, "")
    for row in lines.rows:
        yield "".join(char for char, *_ in row)


def _setting(setting: Setting, row: Mapping[str, Any]) -> SettingSummary:
    metrics = {
        name: None
        if found["mean"] is None
        else Estimate(
            mean=found["mean"], ci_low=found["ci_low"], ci_high=found["ci_high"], num=found["n"]
        )
        for name, found in row["metrics"].items()
    }
    return SettingSummary(
        setting=setting,
        name=row["name"],
        num_conversations=row["conversations"],
        metrics=metrics,
        verdict=row["verdict"],
    )


def _title(text: str) -> ToneLine:
    return ToneLine((Piece(text, "active"),))


def _blank() -> ToneLine:
    return ToneLine((Piece(""),))
