"""What a stage is given: where to read and write, and its place among the ranks. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from core.hardware_table import HardwareTable, shipped_table
from core.settings.setting import StageConfig
from runs.errors import NotFound
from runs.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Something that an earlier stage made, with the hash it had then."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRef:
    """A committed checkpoint directory of this stage, to continue from."""

    path: Path
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageContext:
    """The world of one stage on one rank; `hardware` holds the cards that its user added.

    config_hash: of the settings as the run was planned with them, where it was: a setting that
        came into being since then is none of them.
    """

    stage: str
    run_dir: Path
    artifacts_dir: Path
    checkpoints_dir: Path
    data_dir: Path
    inputs: Mapping[str, Input]
    rank: int = 0
    world_size: int = 1
    device: str = "cpu"
    config_hash: str = ""
    hardware: HardwareTable = field(default_factory=shipped_table, repr=False)

    def input(self, name: str) -> Input:
        """Return a named input, or raise NotFound when the plan did not provide it."""
        try:
            return self.inputs[name]
        except KeyError:
            raise NotFound(
                f"stage {self.stage} needs {name!r}, which no earlier stage or --from run provides"
            ) from None

    def relative(self, path: Path) -> str:
        """Return a path as events state it: relative to the run directory when inside it."""
        try:
            return str(path.relative_to(self.run_dir))
        except ValueError:
            return str(path)


class Stage(Protocol):
    """The one entry point of every file in core/stages."""

    def __call__(
        self,
        config: StageConfig,
        ctx: StageContext,
        *,
        stop: Callable[[], bool],
        resume: CheckpointRef | None,
    ) -> Iterator[Event]:
        """Do the work, telling what happens; yield End(reason="stopped") when told to stop."""
        ...
