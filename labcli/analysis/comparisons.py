"""`runs compare`: standings, speed-up and verdicts, for programs and for people. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from labcli.text.tables import render
from runs.analysis.comparison import Comparison, Pair
from runs.analysis.speedup import Speedup
from runs.metrics.run_curve import AXES, Axis
from runs.views.card import is_higher_better
from tui.analysis.verdicts import axis_text, floor_line, pair_lines
from tui.analysis.words import metric_text

_HEADINGS: Mapping[Axis, str] = {
    "step": "STEPS", "tokens": "TOKENS", "time": "TIME", "flops": "FLOPS", "usd": "USD",
}  # fmt: skip


def comparison_object(found: Comparison, repeat: str | None) -> dict[str, Any]:
    """Return the document of `runs compare --json`."""
    return {
        "stage": found.stage,
        "metric": found.metric,
        "x": found.axis,
        "common_x": found.common_x,
        "problem": found.problem,
        "runs": [asdict(standing) for standing in found.standings],
        "noise": None if found.floor is None else asdict(found.floor),
        "repeat": repeat,
        "pairs": [_pair_object(pair, found.standings[0].run_id) for pair in found.pairs],
    }


def comparison_text(found: Comparison, repeat: str | None, width: int) -> str:
    """Return the readable form of `runs compare`, in at most `width` columns where it can."""
    way = "larger" if is_higher_better(found.metric) else "smaller"
    blocks = [f"{found.metric} of {found.stage}; {way} is better", standings_table(found, width)]
    if found.problem:
        blocks.append(f"not compared: {found.problem}")
        return "\n\n".join(blocks)
    first = found.standings[0].name
    for pair in found.pairs:
        head, *lines = pair_lines(pair, first, found.metric)
        blocks.append("\n".join([head, *(wrapped(line, width, indent="  ") for line in lines)]))
    blocks.append(wrapped(floor_line(found.floor, repeat), width))
    return "\n\n".join(blocks)


def standings_table(found: Comparison, width: int) -> str:
    """Return a table of what each run reached and spent; the least asked columns go first."""
    axes = [axis for axis in AXES if all(axis in one.spent for one in found.standings)]
    unit = {"step": "STEP ", "tokens": "TOKENS ", "flops": "FLOPS "}.get(found.axis, "")
    common = f"AT {unit}{axis_text(found.axis, found.common_x)}"
    columns: dict[str, list[str]] = {
        "RUN": [one.name for one in found.standings],
        "STATE": [one.state for one in found.standings],
        **{
            _HEADINGS[axis]: [axis_text(axis, one.spent[axis]) for one in found.standings]
            for axis in axes
        },
        "LAST": [metric_text(one.last) for one in found.standings],
        "BEST": [f"{metric_text(one.best)}@{one.best_step}" for one in found.standings],
        common: [metric_text(one.at_common) for one in found.standings],
    }
    for extra in ("", "STATE", "TOKENS", "FLOPS", "BEST"):
        columns.pop(extra, None)
        right = "l" + "r" * len(columns)
        table = render(list(columns), list(zip(*columns.values(), strict=True)), right=right)
        if len(table.splitlines()[0]) <= width:
            break
    return table


def wrapped(text: str, width: int, indent: str = "") -> str:
    """Return text on lines of at most `width` columns, the further ones indented."""
    return textwrap.fill(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _pair_object(pair: Pair, against: str) -> dict[str, Any]:
    return {
        "run_id": pair.run_id,
        "against": against,
        "verdict": asdict(pair.verdict),
        "forward": _speedup_object(pair.forward),
        "backward": _speedup_object(pair.backward),
    }


def _speedup_object(found: Speedup) -> dict[str, Any]:
    return {"is_reached": found.is_reached, **asdict(found)}
