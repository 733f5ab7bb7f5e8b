"""`scaling fit` and `scaling plot`: laws, best sizes and projections, for programs and people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from labcli.analysis.comparisons import wrapped
from labcli.text.figures import ABSENT, seconds
from labcli.text.tables import render
from runs.analysis.forecast import Crossing, Forecast
from runs.analysis.isoflop import Parabola
from runs.analysis.power_law import PowerLaw
from runs.analysis.scaling_fit import Price, ScalingFit, Target
from tui.analysis.laws import ends, interval, law_lines, loss_name, size_lines, sizes_text
from tui.analysis.verdicts import axis_text
from tui.analysis.words import metric_text, short_count


def fit_object(
    found: ScalingFit,
    *,
    target: Target | None,
    price: Price | None,
    forecasts: Sequence[Forecast],
) -> dict[str, Any]:
    """Return the document of `scaling fit --json`; losses fall, see "loss" in its text."""
    return {
        "stage": found.data.stage,
        "metric": found.data.metric,
        "loss": loss_name(found.data.metric),
        "left_out": list(found.data.left_out),
        "points": [
            {**asdict(point), "is_frontier": point in found.frontier} for point in found.data.points
        ],
        "law": None if found.law is None else _law_object(found.law),
        "isoflops": [asdict(one) for one in found.parabolas],
        "size_law": None if found.sizes is None else asdict(found.sizes),
        "problem": found.problem,
        "target": None if target is None else {"metric": target.metric, "value": target.value},
        "price": None if price is None else asdict(price),
        "runs": [{**asdict(one), "law_loss": _by_law(found.law, one)} for one in forecasts],
    }


def fit_text(
    found: ScalingFit,
    *,
    target: Target | None,
    price: Price | None,
    forecasts: Sequence[Forecast],
    width: int,
) -> str:
    """Return the readable form of `scaling fit`, in at most `width` columns where it can."""
    loss = loss_name(found.data.metric)
    blocks = []
    if found.law is None:
        blocks.append(wrapped(str(found.problem), width))
    else:
        blocks.append("\n".join(wrapped(line, width) for line in law_lines(found, loss)))
    if found.parabolas:
        blocks.append(isoflop_table(found.parabolas, loss))
        blocks += [wrapped(line, width) for line in size_lines(found)]
    if target is not None and price is not None:
        blocks.append(wrapped(price_line(price, target), width))
    for one in forecasts:
        lines = forecast_lines(found.law, one, target)
        blocks.append("\n".join([lines[0], *(wrapped(x, width, indent="  ") for x in lines[1:])]))
    return "\n\n".join(blocks)


def isoflop_table(found: Sequence[Parabola], loss: str) -> str:
    """Return the best model size of each budget."""
    rows = [
        [
            f"{one.flops:.3g}",
            str(one.num_runs),
            " ".join(short_count(size) for size in one.sizes),
            ABSENT if one.best_size is None else sizes_text(one.best_size),
            ABSENT if one.best_loss is None else metric_text(one.best_loss),
            one.problem or "",
        ]
        for one in found
    ]
    header = ("FLOPS", "RUNS", "SIZES", "BEST SIZE", loss.upper(), "")
    return render(header, rows, right="rrllr")


def price_line(price: Price, target: Target) -> str:
    """Return what a target takes by the law of all runs."""
    goal = f"{target.metric} {target.value:g}"
    if price.flops.value is None:
        return (
            f"{goal} is out of reach of this law: its floor lies above "
            f"({100 * price.chance:.0f} % of the bootstrap gets there)"
        )
    flops = ends(price.flops, lambda x: f"{x:.2g}")
    cost = "" if price.usd is None else f", {ends(price.usd, lambda x: f'${x:.2f}')}"
    return (
        f"{goal} takes {flops} FLOPs: "
        f"{ends(price.time_s, seconds)} at the speed of the fastest run here{cost}; "
        f"{100 * price.chance:.0f} % of the bootstrap gets there at all"
    )


def forecast_lines(law: PowerLaw | None, found: Forecast, target: Target | None) -> list[str]:
    """Return where one run is heading: its end by its own curve and by the law, and the target."""
    where = f"step {found.last_step}"
    if found.planned_steps:
        where += f" of {found.planned_steps}"
    lines = [f"{found.name}: {where}, {loss_name(found.metric)} {metric_text(found.last_loss)}"]
    if found.final_loss is not None:
        lines.append(
            f"by its own curve ({found.num_points} points) it ends at "
            f"{interval(found.final_loss)}, or lower where the learning rate still falls"
        )
    by_law = _by_law(law, found)
    if by_law is not None and found.planned_flops is not None:
        lines.append(
            f"by the law, {found.planned_flops:.3g} FLOPs give "
            f"{by_law['value']:.4f} [{by_law['low']:.4f} to {by_law['high']:.4f}]"
        )
    if found.crossing is not None and target is not None:
        lines.append(crossing_line(found.crossing, target))
    return lines


def crossing_line(found: Crossing, target: Target) -> str:
    """Return when a run meets a target."""
    goal = f"{target.metric} {target.value:g}"
    if found.is_met:
        return f"{goal} is met already"
    if found.step.value is None:
        return (
            f"{goal} lies below the floor of its curve: never, as it stands "
            f"({100 * found.chance:.0f} % of the bootstrap gets there)"
        )
    parts = [f"{goal} at step {ends(found.step, lambda x: f'{x:.0f}')}"]
    if found.time_s is not None:
        parts.append(f"in {ends(found.time_s, seconds)}")
    if found.usd is not None:
        parts.append(f"for {ends(found.usd, lambda x: axis_text('usd', x))} more")
    line = ", ".join(parts)
    if found.planned_steps is not None and found.step.value > found.planned_steps:
        line += f"; later than its last step {found.planned_steps}"
    return f"{line}; {100 * found.chance:.0f} % of the bootstrap gets there at all"


def _law_object(law: PowerLaw) -> dict[str, Any]:
    return {
        "floor": asdict(law.floor),
        "scale": asdict(law.scale),
        "exponent": asdict(law.exponent),
        "unit_flops": law.unit,
        "sd": law.sd,
        "num_points": law.num,
    }


def _by_law(law: PowerLaw | None, found: Forecast) -> dict[str, Any] | None:
    if law is None or found.planned_flops is None:
        return None
    return asdict(law.predict(found.planned_flops))
