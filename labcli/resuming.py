"""Whether a run that is resumed can go on in the way that was asked for."""

from __future__ import annotations

from collections.abc import Collection
from math import gcd

from core.config import build_stage_config
from core.settings.training import BaseConfig, TrainConfig
from core.shared_batch import rank_counts
from runs.errors import UsageError
from runs.record import RunRecord
from runs.supervision.command import PARALLEL_STAGES


def check_ranks(
    record: RunRecord, nproc: int, *, done: Collection[str] = (), num_gpus: int | None = None
) -> None:
    """Raise UsageError when the run trains no model, or its batch cannot be shared by the ranks.

    Fewer rows at a time are no reason: a stage takes as many as divide its step (core.train).
    Without `base` in the plan the row length is that of the parent, and the stage itself checks.

    done: the stages that are finished, whatever their batch.
    num_gpus: of this machine, each of which a run on GPUs gives one rank; None: not looked at.
    """
    training = [entry for entry in record.stages if entry.stage in PARALLEL_STAGES]
    if not training:
        raise UsageError(f"run {record.slug} has no stage that trains a model; leave --nproc out")
    if record.plan.get("device") == "cuda" and num_gpus is not None and nproc > num_gpus:
        raise UsageError(
            f"run {record.slug} trains on one GPU for each rank, and this machine has "
            f"{num_gpus or 'none'}, not {nproc}; resume with fewer ranks, or where it was trained"
        )
    configs = {entry.stage: build_stage_config(entry.stage, entry.config) for entry in training}
    row_len = next((c.sequence_len for c in configs.values() if isinstance(c, BaseConfig)), None)
    if row_len is None:
        return
    batches = {
        stage: config.total_batch_size
        for stage, config in configs.items()
        if isinstance(config, TrainConfig) and stage not in done
    }
    for stage, batch in batches.items():
        if batch % (row_len * nproc):
            fitting = rank_counts(gcd(*batches.values()) // row_len)
            raise UsageError(
                f"{stage}: total_batch_size {batch} is not a multiple of {row_len * nproc} "
                f"({row_len} tokens x {nproc} ranks); resume with --nproc {_one_of(fitting)}"
            )


def _one_of(counts: tuple[int, ...]) -> str:
    *others, last = map(str, counts)
    return f"{', '.join(others)} or {last}" if others else last
