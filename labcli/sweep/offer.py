"""From the variants of a sweep to its plan on the screen, and to runs in the queue."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.hardware import Hardware
from labcli import diagnostics
from labcli.flags.budget import BudgetOptions
from labcli.launching.preflight import check_machine
from labcli.output import emit, emit_json
from labcli.sweep.axes import Changed
from labcli.sweep.creating import NewSweep, create_sweep, with_finished
from labcli.sweep.planning import plan_variants, totals
from labcli.sweep.show import plan_object, plan_text
from runs.lineage.inputs import given_inputs, missing_inputs
from runs.paths import LabHome
from runs.scheduling.snapshot import describe, read_source, store
from runs.scheduling.sweep import sweep_dir
from runs.scheduling.sweeping import run_dir_of
from runs.settings import load_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """How a sweep is wanted: only shown or run, without what is done already, for whom."""

    is_needed: bool
    is_dry: bool
    json: bool


def offer_sweep(
    lab: LabHome,
    new: NewSweep,
    variants: Sequence[Changed],
    hardware: Hardware,
    limits: BudgetOptions,
    offered: Offered,
) -> None:
    """Plan every variant, then show them all, or make and queue their runs."""
    planned = plan_variants(new.request, variants, hardware)
    first = planned[0]
    new = replace(new, budget=limits.budget(first.plan.usd_per_hour).to_json())
    if new.from_ref is not None or not missing_inputs(first.body) or not offered.is_dry:
        inputs, _ = given_inputs(lab, first.body, new.from_ref)
        planned = with_finished(lab, planned, inputs) if offered.is_needed else planned
    num_at_once = load_settings(lab, os.environ).queue.max_runs
    sums = totals(planned, num_at_once, usd_per_hour=limits.usd_per_hour)
    source = read_source(lab)
    text = plan_text(planned, sums, code=describe(source.to_json()))
    if offered.is_dry:
        emit_json(plan_object(planned, sums)) if offered.json else emit(text)
        return
    check_machine(first.plan)
    diagnostics.say(text)
    sweep = create_sweep(lab, replace(new, source=store(lab, source)), planned)
    diagnostics.say(f"\nqueued; see: labcli sweep status {sweep.slug}")
    body = {
        "sweep_id": sweep.sweep_id,
        "slug": sweep.slug,
        "path": str(sweep_dir(lab, sweep)),
        "runs": [str(run_dir_of(lab, variant) or "") for variant in sweep.variants],
    }
    emit_json(body) if offered.json else emit(sweep.slug)
