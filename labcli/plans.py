"""A plan in words: the table of `labcli run --dry-run`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labcli.tables import ABSENT, render, seconds, size
from tui.analysis.words import short_count


def plan_text(plan: Mapping[str, Any], headline: str) -> str:
    """Return a plan as text: its headline, its totals and its stages."""
    model = plan.get("model") or {}
    usd = plan.get("usd")
    figures = [
        ("tokens", short_count(plan.get("tokens")), "tokens"),
        ("FLOPs", f"{plan['flops']:.2e}" if plan.get("flops") else ABSENT, "flops"),
        ("steps", str(plan.get("steps") or ABSENT), "steps"),
        ("shards", str(plan.get("shards") or ABSENT), "shards"),
        ("memory", size(plan.get("memory_bytes")), "memory_bytes"),
        ("disk", size(plan.get("disk_bytes")), "disk_bytes"),
        ("token cache", str(plan.get("token_cache") or ABSENT), "token_cache"),
        ("time", f"about {seconds(plan.get('time_s'))}", "time_s"),
        ("cost", ABSENT if usd is None else f"${usd:.2f}", "usd"),
    ]
    if model:
        built = f"{short_count(model.get('num_params'))} parameters, depth {model.get('depth')}"
        figures.insert(0, ("model", built, "num_params"))
    sources = plan.get("sources") or {}
    rows = [
        ("preset", str(plan.get("preset") or ABSENT), ""),
        ("machine", str(plan.get("machine") or ABSENT), _where(plan)),
        *((name, value, sources.get(key, "")) for name, value, key in figures),
    ]
    lines = _aligned(rows) + [f"note: {note}" for note in plan.get("notes") or ()]
    stages = render(
        ("STAGE", "STEPS", "TAKES FROM", "CONFIG"),
        [_stage_row(stage) for stage in plan["stages"]],
        right="lr",
    )
    return "\n".join([headline, "", *lines, "", stages])


def _aligned(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    name_width, value_width = (max(len(row[at]) for row in rows) for at in (0, 1))
    return [f"{a.ljust(name_width)}  {b.ljust(value_width)}  {c}".rstrip() for a, b, c in rows]


def _where(plan: Mapping[str, Any]) -> str:
    return "" if plan.get("is_here", True) else "not this machine: the one that the preset is for"


def _stage_row(stage: Mapping[str, Any]) -> list[str]:
    producers = dict.fromkeys(str(producer) for producer in stage.get("inputs", {}).values())
    total = stage.get("total")
    steps = ABSENT if total is None else str(total)
    return [stage["stage"], steps, " ".join(producers) or ABSENT, stage.get("config_hash", "")[:8]]
