"""control.jsonl folded: who supervises a run, what was launched, and how it exited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from runs.log import LogRecord
from runs.supervision.process import ProcessIdentity, identity_from
from runs.views.cost import Worked, add_record, heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How the process of a stage ended; `signal` is set when a signal ended it.

    `why` is what its log or its error file said last, where no event tells the reason.
    """

    code: int | None
    signal: int | None
    was_stopping: bool
    t: float
    why: str | None = None
    is_over_budget: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageControl:
    """The newest attempt of a stage as the supervisor knows it.

    `held_s` is when the supervisor that watches it started it or took it over; `advice` is what
    that supervisor did about its end or its hanging, in one line.
    """

    attempt: int
    launched_s: float
    held_s: float
    worker: ProcessIdentity | None = None
    exit: Exit | None = None
    is_done: bool = False
    advice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What the supervisors of a run have written; `state` is the word of the newest one."""

    supervisor: ProcessIdentity | None = None
    supervisor_s: float | None = None
    first_s: float | None = None
    last_s: float | None = None
    state: str | None = None
    state_s: float | None = None
    over_budget: str | None = None
    worked: Worked = field(default_factory=Worked)
    stages: Mapping[str, StageControl] = field(default_factory=lambda: MappingProxyType({}))


def fold_control(records: Iterable[LogRecord], before: Control | None = None) -> Control:
    """Return what the records say, continuing from an earlier fold."""
    control = before or Control()
    first_s, last_s, worked = control.first_s, control.last_s, control.worked
    stages = dict(control.stages)
    changes: dict[str, dict[str, Any]] = {}
    for record in records:
        # Most of a log is signs of life, which say nothing but when.
        if record.kind in ("supervisor", "budget", "state"):
            control = _apply(control, record)
        elif record.kind != "heartbeat":
            if record.kind in ("launch", "exit"):
                worked = add_record(heard(worked, last_s or 0.0), record)
            _apply_to_stages(stages, changes, record)
        first_s = record.t if first_s is None else first_s
        last_s = record.t
    if (first_s, last_s) == (control.first_s, control.last_s):
        return control
    for stage, changed in changes.items():
        stages[stage] = replace(stages[stage], **changed)
    worked = heard(worked, last_s or 0.0)
    return replace(control, first_s=first_s, last_s=last_s, worked=worked, stages=stages)


def _apply(control: Control, record: LogRecord) -> Control:
    if record.kind == "supervisor":
        return replace(
            control,
            supervisor=identity_from(record.data),
            supervisor_s=record.t,
            state=None,
            state_s=None,
            over_budget=None,
        )
    if record.kind == "budget":
        return replace(control, over_budget=record.text("message"))
    return replace(control, state=record.text("state"), state_s=record.t)


def _apply_to_stages(
    stages: dict[str, StageControl], changes: dict[str, dict[str, Any]], record: LogRecord
) -> None:
    """Put a launch into `stages`; gather in `changes` what else becomes of that attempt."""
    stage = record.text("stage")
    attempt = record.integer("attempt")
    if stage is None or attempt is None:
        return
    if record.kind == "launch":
        stages[stage] = StageControl(attempt=attempt, launched_s=record.t, held_s=record.t)
        changes.pop(stage, None)
    elif stage in stages and stages[stage].attempt == attempt:
        # All at once in the end: a `replace` for every record is a sixth of a reindex.
        changes.setdefault(stage, {}).update(_changes(record))


def _changes(record: LogRecord) -> dict[str, Any]:
    """Return the fields of a StageControl that a record changes."""
    if record.kind == "stage":
        return {"worker": identity_from(record.data)}
    if record.kind == "adopt":
        return {"held_s": record.t, "advice": None}
    if record.kind in ("retry", "gave-up", "stall", "recovered"):
        return {"advice": record.text("message")}
    if record.kind == "exit":
        ended = Exit(
            code=record.integer("code"),
            signal=record.integer("signal"),
            was_stopping=record.data.get("was_stopping") is True,
            t=record.t,
            why=record.text("why"),
            is_over_budget=record.data.get("is_over_budget") is True,
        )
        return {"exit": ended, "advice": None}
    return {"is_done": True} if record.kind == "done" else {}
