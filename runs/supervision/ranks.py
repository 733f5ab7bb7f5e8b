"""On how many ranks a run goes on: as planned, or as was said when it was resumed.

run.json is written once, so the answer that counts is the newest request.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runs.errors import LabError
from runs.log import append_record, read_log
from runs.paths import RunPaths
from runs.record import RunRecord
from runs.supervision.command import PARALLEL_STAGES

_REQUEST = "ranks"


def ask_for_ranks(run_dir: Path, nproc: int) -> None:
    """Let the stages that train a model run on `nproc` ranks from the next attempt on."""
    requests = RunPaths(run_dir).requests
    if not append_record(requests, _REQUEST, {"nproc": nproc}, sync=True):
        raise LabError(f"cannot write {requests}; check the disk")


def with_ranks(run_dir: Path, record: RunRecord) -> RunRecord:
    """Return a run as it was planned, but on the number of ranks that was asked for last."""
    asked = [r.integer("nproc") for r in read_log(RunPaths(run_dir).requests) if r.kind == _REQUEST]
    if not asked or asked[-1] is None:
        return record
    stages = [
        {**entry, "nproc": asked[-1]} if entry["stage"] in PARALLEL_STAGES else entry
        for entry in record.plan["stages"]
    ]
    return replace(record, nproc=asked[-1], plan={**record.plan, "stages": stages})
