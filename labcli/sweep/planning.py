"""The plans of a sweep: all variants are resolved before anything starts, errors gathered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.hardware import Hardware
from core.plan import MODEL_STAGES, Plan
from core.planning.request import PlanRequest
from labcli import diagnostics
from labcli.launching.new_run import machine_of, make_plan
from labcli.sweep.axes import SEED, Changed
from runs.errors import UsageError
from runs.paths import LabHome
from runs.views.run_view import RunView

_SHOWN_ERRORS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One variant with its plan, and the finished run that did the same before, if asked for."""

    changed: Changed
    plan: Plan
    body: Mapping[str, Any]
    same: RunView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What the runs that are still to do take together; None where nothing is known.

    wall_s: with `num_at_once` of them at a time.
    """

    num_runs: int
    num_at_once: int
    work_s: float
    wall_s: float
    usd: float | None
    disk_bytes: int


def sweep_hardware(home: LabHome, nproc: int | None) -> Hardware:
    """Return this machine with only the GPUs that one run of a sweep gets: one, unless told."""
    hardware = machine_of(home)
    if nproc is not None and hardware.gpus and nproc > len(hardware.gpus):
        raise UsageError(f"--nproc {nproc} needs {nproc} GPUs; there are {len(hardware.gpus)}")
    return replace(hardware, gpus=hardware.gpus[: nproc or 1])


def plan_variants(
    request: PlanRequest, variants: Sequence[Changed], hardware: Hardware
) -> list[Planned]:
    """Return the plan of every variant.

    Raises:
        UsageError: after naming, once each, all that is wrong with any of them.
    """
    planned: list[Planned] = []
    problems: dict[str, list[int]] = {}
    for index, changed in enumerate(variants, 1):
        try:
            plan = make_plan(_request(request, changed, hardware), hardware)
        except UsageError as error:
            problems.setdefault(str(error), []).append(index)
            continue
        planned.append(Planned(changed=changed, plan=plan, body=plan.to_json()))
    if not problems:
        return planned
    bad = sum(map(len, problems.values()))
    if len(problems) == 1 and bad == len(variants):
        raise UsageError(f"{next(iter(problems))}; no run was started")
    for message, indices in list(problems.items())[:_SHOWN_ERRORS]:
        diagnostics.say(f"  {_numbers(indices)}: {message}")
    if len(problems) > _SHOWN_ERRORS:
        diagnostics.say(f"  and {len(problems) - _SHOWN_ERRORS} more")
    raise UsageError(f"{bad} of {len(variants)} variants cannot be planned; no run was started")


def totals(
    planned: Sequence[Planned], num_at_once: int, *, usd_per_hour: float | None = None
) -> Totals:
    """Return what is left to do, without the variants that are done already.

    The text counts once: runs share its shards and its tokens.
    `usd_per_hour` is a price that a person gave instead of the usual one.
    """
    todo = [item.plan for item in planned if item.same is None]
    times = [plan.time_s for plan in todo]
    usd = [plan.usd if usd_per_hour is None else usd_per_hour * plan.time_s / 3600 for plan in todo]
    known = [value for value in usd if value is not None]
    return Totals(
        num_runs=len(todo),
        num_at_once=num_at_once,
        work_s=sum(times),
        wall_s=max(sum(times) / max(1, num_at_once), max(times, default=0.0)),
        usd=round(sum(known), 2) if len(known) == len(usd) and known else None,
        disk_bytes=sum(plan.disk_bytes - plan.text_bytes for plan in todo)
        + max((plan.text_bytes for plan in todo), default=0),
    )


def _request(request: PlanRequest, changed: Changed, hardware: Hardware) -> PlanRequest:
    overrides = [f"{key}={value}" for key, value in changed.items() if key != SEED]
    whole = replace(request, overrides=(*request.overrides, *overrides))
    if SEED not in changed:
        return whole
    # The stages that train are those of the plan: with --until there are fewer of them.
    stages = [stage.stage for stage in make_plan(whole, hardware).stages]
    seeded = [stage for stage in stages if stage in MODEL_STAGES] or stages
    seeds = [f"{stage}.{SEED}={changed[SEED]}" for stage in seeded]
    return replace(whole, overrides=(*whole.overrides, *seeds))


def _numbers(indices: Sequence[int]) -> str:
    shown = ", ".join(str(index) for index in indices[:6])
    word = "variant" if len(indices) == 1 else "variants"
    return f"{word} {shown}" + (f" and {len(indices) - 6} more" if len(indices) > 6 else "")
