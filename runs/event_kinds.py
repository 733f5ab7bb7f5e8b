"""What a stage may say: the closed set of events and their fields. Stdlib only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

EndReason = Literal["finished", "stopped", "failed", "budget"]
Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened in a stage; the subclasses are the closed set of kinds."""

    kind: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Event):
    """An attempt began; `resumed_from` is the step of the checkpoint that it continues."""

    kind: ClassVar[str] = "start"
    stage: str
    attempt: int
    config_hash: str
    host: str
    device: str
    torch: str | None
    world_size: int
    argv: tuple[str, ...]
    resumed_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """Work that is not counted in optimizer steps, or the share of it that is done."""

    kind: ClassVar[str] = "progress"
    done: float
    total: float
    unit: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Event):
    """One optimizer step; `tokens`, `train_s` and `flops` are cumulative over attempts.

    `total_steps` is None where nobody knows how many there will be.
    """

    kind: ClassVar[str] = "step"
    step: int
    total_steps: int | None = None
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Eval(Event):
    """A measurement of a model: validation bits per byte, task results, or both.

    `val_sha256` names the validation text: figures over different texts do not compare.
    """

    kind: ClassVar[str] = "eval"
    step: int
    val_bpb: float | None = None
    val_sha256: str | None = None
    results: Mapping[str, Mapping[str, float]] | None = None
    checkpoint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Event):
    """Text that the model wrote."""

    kind: ClassVar[str] = "sample"
    step: int
    prompt: str
    text: str
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Event):
    """One turn of a self-chat: where it belongs, its figures, and where all of it lies.

    `path` is relative to the run directory; the turn is the line of `bytes` bytes at `offset`.
    Means are over the tokens that the model chose, in nats. `end` says why the conversation
    ended with this turn.
    """

    kind: ClassVar[str] = "turn"
    conversation: int
    index: int
    side: str
    setting: int
    label: str
    tokens: int
    entropy_nats: float | None
    surprisal_nats: float | None
    text: str
    finish: str
    path: str
    offset: int
    bytes: int
    end: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Event):
    """A committed checkpoint; `path` is relative to the run directory."""

    kind: ClassVar[str] = "checkpoint"
    step: int
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Event):
    """Something later stages may use; `path` is relative to the run directory or absolute."""

    kind: ClassVar[str] = "artifact"
    name: str
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert(Event):
    """Something that a person should look at."""

    kind: ClassVar[str] = "alert"
    code: str
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """A fact worth keeping beside the numbers."""

    kind: ClassVar[str] = "note"
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Event):
    """The attempt failed."""

    kind: ClassVar[str] = "error"
    type: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(Event):
    """The process is alive; `phase` names work that is longer than a step: compile, eval, ..."""

    kind: ClassVar[str] = "heartbeat"
    phase: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Event):
    """The attempt ended by itself."""

    kind: ClassVar[str] = "end"
    reason: EndReason
