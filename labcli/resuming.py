"""Whether a run that is resumed can go on in the way that was asked for."""

from __future__ import annotations

from core.config import build_stage_config
from core.device_rows import row_counts
from core.scaling import micro_batches
from core.settings.setting import naming
from core.settings.training import BaseConfig, TrainConfig
from runs.errors import UsageError
from runs.record import RunRecord
from runs.supervision.command import PARALLEL_STAGES


def check_ranks(record: RunRecord, nproc: int) -> None:
    """Raise UsageError when the run trains no model, or its batch cannot be shared by the ranks.

    Without `base` in the plan the row length is that of the parent, and the stage itself checks.
    """
    training = [entry for entry in record.stages if entry.stage in PARALLEL_STAGES]
    if not training:
        raise UsageError(f"run {record.slug} has no stage that trains a model; leave --nproc out")
    configs = [build_stage_config(entry.stage, entry.config) for entry in training]
    row_len = next((c.sequence_len for c in configs if isinstance(c, BaseConfig)), None)
    for entry, config in zip(training, configs, strict=True):
        if row_len is None or not isinstance(config, TrainConfig):
            continue
        with naming(entry.stage):
            if config.device_batch_size == "auto":
                row_counts(config.total_batch_size, row_len, nproc)
            else:
                micro_batches(config, row_len, nproc)
