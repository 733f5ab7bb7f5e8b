"""What is checked before a run is created: that everything it will need is there, or fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.plan import Plan
from core.planning.disk import how_to_fit
from core.settings.text import DataConfig
from core.settings.training import TrainConfig
from labcli.text.figures import size
from runs.errors import LabError, UsageError
from runs.paths import LabHome

_CORPUS = "data.corpus="


def absolute_corpus(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides with a corpus directory as a path that holds in any directory.

    A word without a slash is the name of a corpus.
    """
    return tuple(
        _CORPUS + str(Path(override.removeprefix(_CORPUS)).expanduser().resolve())
        if override.startswith(_CORPUS) and "/" in override
        else override
        for override in overrides
    )


def check_machine(plan: Plan) -> None:
    """Raise UsageError for a plan whose figures are those of another machine."""
    if plan.is_here:
        return
    card = plan.hardware.gpus[0].name
    raise UsageError(
        f"preset {plan.preset} is for {plan.machine}, which this machine is not; with fewer GPUs "
        f"name their number by --nproc, without a GPU take --preset cpu (--dry-run shows what "
        f"{card} would do)"
    )


def check_assets(home: LabHome, plan: Plan) -> None:
    """Return when a plan can begin.

    Raises:
        UsageError: the plan is for a machine with other hardware than this one.
        LabError: its text is missing, or the disk is too small; one line says which and what
            to do.
    """
    check_machine(plan)
    # What is missing of the shards is asked for below.
    num_bytes = plan.disk_bytes - plan.download_bytes
    num_shards = None
    for stage in plan.stages:
        # The embedded text is always there, and looking at others loads a lot.
        if isinstance(stage.config, DataConfig) and stage.config.corpus != "embedded":
            from core.data.preflight import check_text, own_text_bytes

            num_bytes += check_text(home.data_dir, stage.config)
            num_bytes += own_text_bytes(home.data_dir, stage.config)
            num_shards = plan.shards
    free = home.disk_free_bytes
    if free is not None and num_bytes > free:
        trained = [s.config for s in plan.stages if isinstance(s.config, TrainConfig)]
        ways = how_to_fit(
            plan.disk,
            num_shards=num_shards,
            keep_checkpoints=max((config.keep_checkpoints for config in trained), default=1),
            keep_best=any(config.keep_best for config in trained),
        )
        raise LabError(
            f"this run needs {size(num_bytes)} of disk ({plan.disk.source()}) and {home.root} has "
            f"{size(free)} free; {ways}"
        )
