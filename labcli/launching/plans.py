"""A plan in words: the table of `labcli run --dry-run`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labcli.text.figures import ABSENT, seconds, size
from labcli.text.tables import render
from labcli.text.wrapping import hung
from tui.analysis.words import short_count


def plan_text(plan: Mapping[str, Any], headline: str, *, width: int | None = None) -> str:
    """Return a plan as text: its headline, its totals, what it costs first, and its stages.

    width: the columns that lines are broken to; None leaves them whole, as pipes want them.
    """
    model = plan.get("model") or {}
    usd = plan.get("usd")
    figures = [
        ("time", f"about {seconds(plan.get('time_s'))}", "time_s"),
        ("cost", ABSENT if usd is None else f"${usd:.2f}", "usd"),
        ("memory", size(plan.get("memory_bytes")), "memory_bytes"),
        ("disk", size(plan.get("disk_bytes")), "disk_bytes"),
        ("tokens", short_count(plan.get("tokens")), "tokens"),
        ("FLOPs", f"{plan['flops']:.2e}" if plan.get("flops") else ABSENT, "flops"),
        ("steps", str(plan.get("steps") or ABSENT), "steps"),
        ("shards", str(plan.get("shards") or ABSENT), "shards"),
        ("token cache", str(plan.get("token_cache") or ABSENT), "token_cache"),
    ]
    if model:
        built = f"{short_count(model.get('num_params'))}, depth {model.get('depth')}"
        figures.insert(4, ("parameters", built, "num_params"))
    sources = plan.get("sources") or {}
    rows = [
        ("machine", str(plan.get("machine") or ABSENT), _where(plan)),
        *((name, value, sources.get(key, "")) for name, value, key in figures),
    ]
    lines = _aligned(rows, width)
    for note in plan.get("notes") or ():
        lines += hung("note: ", note, width)
    stages = render(
        ("STAGE", "STEPS", "TAKES FROM", "CONFIG"),
        [_stage_row(stage) for stage in plan["stages"]],
        right="lr",
    )
    return "\n".join([headline, "", *lines, "", stages])


def _aligned(rows: Sequence[tuple[str, str, str]], width: int | None) -> list[str]:
    name_width, value_width = (max(len(row[at]) for row in rows) for at in (0, 1))
    lines = []
    for name, value, source in rows:
        start = f"{name.ljust(name_width)}  {value.ljust(value_width)}  "
        lines += hung(start, source, width)
    return lines


def _where(plan: Mapping[str, Any]) -> str:
    return "" if plan.get("is_here", True) else "not this machine: the one that the preset is for"


def _stage_row(stage: Mapping[str, Any]) -> list[str]:
    producers = dict.fromkeys(str(producer) for producer in stage.get("inputs", {}).values())
    total = stage.get("total")
    steps = ABSENT if total is None else str(total)
    return [stage["stage"], steps, " ".join(producers) or ABSENT, stage.get("config_hash", "")[:8]]
