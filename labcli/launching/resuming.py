"""Whether a run that is resumed can go on in the way that was asked for."""

from __future__ import annotations

from collections.abc import Collection
from math import gcd

from core.config import build_stage_config
from core.settings.training import BaseConfig, TrainConfig
from core.shared_batch import rank_counts
from runs.errors import UsageError
from runs.record import RunRecord
from runs.supervision.command import PARALLEL_STAGES, num_processes


def check_gpus(
    record: RunRecord, num_gpus: int, *, nproc: int | None = None, done: Collection[str] = ()
) -> None:
    """Raise UsageError when a run on GPUs has more ranks than this machine has GPUs.

    nproc: the ranks from here on; None: those that the record states.
    done: the stages that are finished, whatever they ran on.
    """
    if record.plan.get("device") != "cuda":
        return
    ranks = [
        nproc or num_processes(record, entry)
        for entry in record.stages
        if entry.stage in PARALLEL_STAGES and entry.stage not in done
    ]
    if ranks and max(ranks) > num_gpus:
        fewer = "with fewer ranks (--nproc), or " if num_gpus else ""
        raise UsageError(
            f"run {record.slug} trains on {max(ranks)} GPUs, one for each rank, and this machine "
            f"has {num_gpus or 'none'}; resume {fewer}where they are"
        )


def check_ranks(record: RunRecord, nproc: int, *, done: Collection[str] = ()) -> None:
    """Raise UsageError when the run trains no model, or its batch cannot be shared by the ranks.

    Fewer rows at a time are no reason: a stage takes as many as divide its step (core.train).
    Without `base` in the plan the row length is that of the parent, and the stage itself checks.

    done: the stages that are finished, whatever their batch.
    """
    training = [entry for entry in record.stages if entry.stage in PARALLEL_STAGES]
    if not training:
        raise UsageError(f"run {record.slug} has no stage that trains a model; leave --nproc out")
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
