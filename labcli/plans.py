"""A plan in words: the table of `labcli run --dry-run`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labcli.tables import ABSENT, render, seconds, size
from tui.analysis.words import short_count


def plan_text(plan: Mapping[str, Any], headline: str) -> str:
    """Return a plan as text: its headline, its totals and its stages."""
    model = plan.get("model") or {}
    usd = plan.get("usd")
    totals = [
        ("preset", str(plan.get("preset") or ABSENT)),
        ("model", f"{short_count(model.get('num_params'))} parameters, depth {model.get('depth')}"),
        ("tokens", short_count(plan.get("tokens"))),
        ("FLOPs", f"{plan['flops']:.2e}" if plan.get("flops") else ABSENT),
        ("steps", str(plan.get("steps") or ABSENT)),
        ("memory", size(plan.get("memory_bytes"))),
        ("disk", size(plan.get("disk_bytes"))),
        ("time", f"about {seconds(plan.get('time_s'))}"),
        ("cost", ABSENT if usd is None else f"${usd:.2f}"),
    ]
    if not model:
        totals = [row for row in totals if row[0] != "model"]
    rows = [[name, value] for name, value in totals]
    width = max(len(name) for name, _ in totals)
    lines = [f"{name.ljust(width)}  {value}" for name, value in rows]
    stages = render(
        ("STAGE", "STEPS", "TAKES FROM", "CONFIG"),
        [_stage_row(stage) for stage in plan["stages"]],
        right="lr",
    )
    return "\n".join([headline, "", *lines, "", stages])


def _stage_row(stage: Mapping[str, Any]) -> list[str]:
    producers = dict.fromkeys(str(producer) for producer in stage.get("inputs", {}).values())
    total = stage.get("total")
    steps = ABSENT if total is None else str(total)
    return [stage["stage"], steps, " ".join(producers) or ABSENT, stage.get("config_hash", "")[:8]]
