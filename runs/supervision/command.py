"""The command line and the environment of the process that executes a stage."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from runs.paths import RunPaths
from runs.record import RunRecord, StagePlan
from runs.scheduling.snapshot import snapshot_dir
from runs.supervision.process import HOME_TAG, RUN_TAG

PARALLEL_STAGES = frozenset({"base", "mid", "sft"})
STOP_GRACE_S = 120


def num_processes(record: RunRecord, stage: StagePlan) -> int:
    """Return how many ranks a stage runs on; only the stages that train a model use several."""
    return (stage.nproc or record.nproc) if stage.stage in PARALLEL_STAGES else 1


def worker_argv(record: RunRecord, stage: StagePlan, run_dir: Path, attempt: int) -> list[str]:
    """Return the command line of one attempt: plain python, or torchrun for several ranks."""
    worker = [*record.worker, str(run_dir), stage.stage, str(attempt)]
    nproc = num_processes(record, stage)
    if nproc == 1:
        return [sys.executable, "-P", *worker]
    log_dir = RunPaths(run_dir).log_dir(stage.stage) / f"a{attempt}"
    return [
        sys.executable, "-P", "-m", "torch.distributed.run",
        "--standalone",
        "--nproc-per-node", str(nproc),
        "--max-restarts", "0",
        "--log-dir", str(log_dir),
        "-r", "3",
        # torchrun copies the output of rank 0 to its own, which is the log of the attempt.
        "-t", "0:3",
        *worker,
    ]  # fmt: skip


def error_file(run_dir: Path, stage: str, attempt: int) -> Path:
    """Return where a worker that is alone writes why it failed; torchrun names one per rank."""
    return RunPaths(run_dir).log_dir(stage) / f"a{attempt}" / "error.json"


def worker_env(
    record: RunRecord,
    stage: StagePlan,
    run_dir: Path,
    attempt: int,
    inherited: Mapping[str, str],
) -> dict[str, str]:
    """Return the environment of a worker: the tag of its run, and threads shared by the ranks."""
    env = {
        **inherited,
        RUN_TAG: record.run_id,
        HOME_TAG: str(RunPaths(run_dir).home.root),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }
    # `-P` leaves out the current directory and nothing else; this comes before what is installed.
    snapshot = snapshot_dir(RunPaths(run_dir), record.source)
    if snapshot is not None:
        others = env.get("PYTHONPATH")
        env["PYTHONPATH"] = os.pathsep.join([str(snapshot), *([others] if others else [])])
    # Threads that spin while they wait cost 6 % less on an idle machine, and several times the
    # whole step on one where anything else wants the cores.
    env.setdefault("OMP_WAIT_POLICY", "passive")
    nproc = num_processes(record, stage)
    if nproc > 1:
        env["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // nproc))
        # A variable, not an option: torch 2.11 knows neither, and refuses an option. Its ranks have
        # the 30 s that torchrun gives.
        env["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(STOP_GRACE_S)
    else:
        env["TORCHELASTIC_ERROR_FILE"] = str(error_file(run_dir, stage.stage, attempt))
    return env
