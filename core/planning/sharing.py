"""Batches that a recipe states, made such that the ranks of a plan can share them. Torch-free.

What a person set is kept: a batch or rows that do not divide are refused, not changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from core.settings.setting import StageConfig, naming
from core.settings.training import BaseConfig, TrainConfig
from core.shared_batch import BUSY_ROWS, Share, most_rows, nearest_share, rows_of_each


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSettings:
    """The settings of every stage, and by stage what was changed for the number of ranks."""

    configs: Mapping[str, StageConfig]
    changes: Mapping[str, str]

    def notes(self, chosen: Iterable[str]) -> tuple[str, ...]:
        """Return what a plan of the chosen stages says of it; stages alike are named together."""
        stages: dict[str, list[str]] = {}
        for stage in chosen:
            if stage in self.changes:
                stages.setdefault(self.changes[stage], []).append(stage)
        return tuple(f"{', '.join(names)}: {change}." for change, names in stages.items())


def share_batches(
    configs: Mapping[str, StageConfig],
    overrides: Sequence[str],
    num_ranks: int,
    *,
    chosen: Collection[str],
) -> SharedSettings:
    """Return settings whose batches so many ranks share, wherever the recipe states a batch.

    overrides: what a person set, as stage.key=value.
    chosen: the stages of the plan. Rows are as long as those of `base`; where that is not one of
        them they are the parent's, which may be shorter.

    Raises:
        UsageError: a person's batch is one that the ranks cannot share; the nearest is named.
    """
    base = configs["base"]
    assert isinstance(base, BaseConfig)
    own = {override.partition("=")[0] for override in overrides}
    shared, changes = dict(configs), {}
    for stage, config in configs.items():
        if not isinstance(config, TrainConfig) or f"{stage}.device_batch_size" in own:
            continue
        is_batch_own = f"{stage}.total_batch_size" in own
        if is_batch_own and stage in chosen and "base" in chosen:
            with naming(stage):
                rows_of_each(config.total_batch_size, base.sequence_len, num_ranks)
        share = _share(config, base.sequence_len, num_ranks, is_batch_own=is_batch_own)
        if share is None:
            continue
        changed = replace(config, total_batch_size=share.batch)
        if config.device_batch_size != "auto":
            changed = replace(changed, device_batch_size=share.rows)
        shared[stage] = changed
        if changed != config:
            changes[stage] = _change(config, changed, num_ranks)
    return SharedSettings(configs=shared, changes=changes)


def _share(
    config: TrainConfig, row_len: int, num_ranks: int, *, is_batch_own: bool
) -> Share | None:
    """Return what to train with instead, or None where it is fine, or not to be changed."""
    batch, rows = config.total_batch_size, config.device_batch_size
    open_rows = 1 if rows == "auto" else rows
    # A recipe that does not divide on one rank either is wrong by itself.
    if batch % (open_rows * row_len * num_ranks) == 0 or (
        not is_batch_own and batch % (open_rows * row_len)
    ):
        return None
    if is_batch_own:
        if batch % (row_len * num_ranks):
            return None
        return Share(batch=batch, rows=most_rows(open_rows, batch, row_len, num_ranks))
    return nearest_share(batch, BUSY_ROWS if rows == "auto" else rows, row_len, num_ranks)


def _change(config: TrainConfig, changed: TrainConfig, num_ranks: int) -> str:
    before, rows = config.device_batch_size, changed.device_batch_size
    parts = []
    if changed.total_batch_size != config.total_batch_size:
        parts.append(f"{changed.total_batch_size:,} tokens a step, not {config.total_batch_size:,}")
    if rows != before:
        parts.append(f"{rows} {'row' if rows == 1 else 'rows'} at a time, not {before}")
    why = f"so that {num_ranks} ranks share a step evenly" if num_ranks > 1 else "to divide a step"
    return f"{', '.join(parts)}, {why}"
