"""What a page about one run can hold, and its sections. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from runs.lineage.graph import Lineage
from runs.record import RunRecord
from runs.supervision.control import Control
from runs.views.fold import StageFacts
from runs.views.presence import Presence
from runs.views.run_view import RunView
from tui.analysis.event_times import FileTimes
from tui.live.saved import SavedCheckpoint
from tui.live.state import StageRecord

Section = Literal[
    "overview", "config", "environment", "lineage", "checkpoints", "evals", "time", "events",
    "files",
]  # fmt: skip
SECTIONS: tuple[Section, ...] = (
    "overview", "config", "environment", "lineage", "checkpoints", "evals", "time", "events",
    "files",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSize:
    """A file of the run directory; its path is relative to it."""

    path: str
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a stage; `default` is what the recipe and the preset make of it."""

    stage: str
    name: str
    value: Any
    default: Any
    has_default: bool
    help: str

    @property
    def is_changed(self) -> bool:
        """Whether it is known not to be the default."""
        return self.has_default and self.value != self.default


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunPage:
    """What is known of a run; the parts that no section has asked for yet are empty."""

    view: RunView
    record: RunRecord | None = None
    control: Control = field(default_factory=Control)
    presence: Presence | None = None
    facts: Mapping[str, StageFacts] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    lineage: Lineage | None = None
    checkpoints: tuple[SavedCheckpoint, ...] = ()
    times: tuple[FileTimes, ...] = ()
    events: tuple[StageRecord, ...] = ()
    skipped_bytes: int = 0
    files: tuple[FileSize, ...] = ()
    num_files: int = 0
    problems: Mapping[str, str] = field(default_factory=dict)
