"""Where the time of a run's stages went, as waterfalls, and how ranks kept pace. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tui.analysis.event_times import (
    STEP_PARTS,
    PhaseShare,
    RankPace,
    rank_paces,
    waterfall,
)
from tui.analysis.rows import Cell, Row, TableRow, blank, heading, remark, table
from tui.analysis.run_page import RunPage
from tui.live.present import MODEL_STAGES
from tui.shell import format as fmt
from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, ToneLine

_STEPPING = frozenset({"steps", *STEP_PARTS.values()})


def times(page: RunPage, *, width: int, glyphs: Glyphs) -> list[Row]:
    """Return where the time of each stage went, and how its ranks kept pace."""
    rows: list[Row] = []
    silent = []
    for stage in (entry.stage for entry in page.view.stages):
        phases = waterfall(page.times, stage)
        if not phases:
            silent.append(stage)
            continue
        total = sum(phase.seconds for phase in phases)
        rows += [heading(stage, fmt.duration(total)), *_phase_rows(stage, phases, width, glyphs)]
        rows += [
            *_step_phases(page, stage, width),
            *_rank_rows(page, stage, width, glyphs),
            blank(),
        ]
    if not any(file.rank for file in page.times):
        rows.append(remark("every stage had one rank: there is no skew to show"))
    if silent:
        rows.append(remark(f"no events with a time yet: {', '.join(silent)}"))
    note = "Steps measure their parts; any other stretch counts for the event that it ended with."
    return [*rows, Row(line=ToneLine((Piece(note, "quiet"),)), is_heading=True)]


def _phase_rows(stage: str, phases: Sequence[PhaseShare], width: int, glyphs: Glyphs) -> list[Row]:
    bar_width = max(min(width - 39, 80), 10)
    rows = []
    for phase in phases:
        start = round(phase.begins * bar_width)
        length = max(round((phase.begins + phase.share) * bar_width) - start, 1)
        bar = " " * min(start, bar_width - 1) + glyphs.bar_full * length
        pieces = (
            Piece(f"{phase.phase:<16} ", "plain"),
            Piece(f"{fmt.duration(phase.seconds):>7} ", "strong"),
            Piece(f"{fmt.percent(phase.share, 1):>6}  ", "quiet"),
            Piece(bar, "active" if phase.phase in _STEPPING else "good"),
        )
        text = f"{stage} {phase.phase}"
        detail = f"{text}\n\n{phase.seconds:.3f} s, {fmt.percent(phase.share, 2)} of the stage"
        rows.append(
            Row(line=ToneLine(pieces), key=text, value=f"{phase.seconds:.3f}", detail=detail)
        )
    return rows


def _step_phases(page: RunPage, stage: str, width: int) -> list[Row]:
    """Return what the last step said of its own parts; those of an older lab said nothing."""
    facts = page.facts.get(stage)
    metrics = facts.metrics if facts else {}
    parts = [(name, metrics[key]) for key, name in STEP_PARTS.items() if key in metrics]
    if parts:
        told = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in parts)
        return [remark(f"its last step: {told}", "plain")]
    if stage not in MODEL_STAGES:
        return []
    text = "its steps do not say what forward-backward, optimizer and sync took"
    return [remark(text if width >= len(text) else "its steps do not name their phases")]


def _rank_rows(page: RunPage, stage: str, width: int, glyphs: Glyphs) -> list[Row]:
    paces = rank_paces(page.times, stage)
    if not paces:
        return []
    rows = [_rank_row(stage, pace) for pace in paces]
    header = ("rank", "started", "last word", "longest silence", "heartbeats", "events")
    skew = max(pace.late_s for pace in paces)
    last = max(pace.behind_s for pace in paces)
    note = f"started within {fmt.duration(skew)}, last heard within {fmt.duration(last)}"
    return [
        heading(f"{stage}: {len(paces)} ranks", note),
        *table(header, rows, width=width, glyphs=glyphs, right="rrrrrr"),
    ]


def _rank_row(stage: str, pace: RankPace) -> TableRow:
    texts = (
        f"{pace.rank}",
        f"+{pace.late_s:.1f}s",
        f"-{pace.behind_s:.1f}s",
        fmt.duration(pace.longest_silence_s),
        f"{pace.num_heartbeats:,}",
        f"{pace.num_events:,}",
    )
    return TableRow(
        cells=tuple(Cell(text=text) for text in texts),
        key=f"{stage} rank {pace.rank}",
        value=" ".join(texts),
        detail=f"rank {pace.rank} of {stage}\n\nstarted {pace.late_s:.3f} s after the first, "
        f"said its last word {pace.behind_s:.3f} s before the latest",
    )
