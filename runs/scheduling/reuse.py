"""Work that is done already: finished runs of the same stages, settings and inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from runs.errors import LabError
from runs.lineage.inputs import given_inputs
from runs.paths import LabHome
from runs.record import load_record
from runs.views.query import load_run, run_dirs
from runs.views.run_view import RunView


def work_hash(plan: Mapping[str, Any], inputs: Mapping[str, Mapping[str, str]]) -> str:
    """Return a hash of what a plan does: its settings, device, ranks and the content it takes.

    Estimates of time and cost are left out, and so are the names of presets and of parent runs.
    """
    stages = [
        [entry["stage"], entry.get("config_hash"), entry.get("nproc"), entry.get("inputs", {})]
        for entry in plan["stages"]
    ]
    given = {name: entry.get("sha256") or entry.get("path") for name, entry in inputs.items()}
    body = [plan.get("device"), stages, given]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def finished_work(home: LabHome, wanted: frozenset[str]) -> dict[str, RunView]:
    """Return the newest finished run that did each of the wanted works, by work hash."""
    found: dict[str, RunView] = {}
    for run_dir in run_dirs(home):
        if wanted <= found.keys():
            break
        try:
            record = load_record(run_dir)
        except LabError:
            continue
        done = work_hash(record.plan, record.inputs)
        if done in wanted and done not in found:
            view = load_run(run_dir)
            if view.state == "finished":
                found[done] = view
    return found


def find_finished(home: LabHome, plan: Mapping[str, Any], from_ref: str | None) -> RunView | None:
    """Return the newest finished run that did what a plan would do, or None."""
    inputs, _ = given_inputs(home, plan, from_ref)
    work = work_hash(plan, inputs)
    return finished_work(home, frozenset([work])).get(work)
