"""The state of a stage and of a run, decided from facts alone: pure, no files, no clock."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from runs.supervision.control import Exit
from runs.supervision.process import Liveness

StageState = Literal[
    "pending", "running", "stalled", "stopping", "finished", "stopped", "failed", "crashed",
    "killed", "budget", "lost",
]  # fmt: skip
RunState = StageState | Literal["queued", "unreadable"]

ACTIVE = frozenset({"queued", "running", "stalled", "stopping"})
ENDED = frozenset({"finished", "stopped", "failed", "crashed", "killed", "budget", "lost"})

HEARTBEAT_LIMIT_S = 30.0
# A worker writes at least a heartbeat every 2 s; silence means that it is frozen.
SILENCE_LIMIT_S = 30.0
# Heartbeats come from a thread: they go on while the work itself hangs. A step that takes this
# many times the median is a hang; work of unknown length has a fixed limit.
STALL_STEPS = 5.0
NO_WORK_LIMIT_S = 1200.0
# The supervisor notices an exit within 0.2 s; until it says so the worker counts as running.
EXIT_NOTICE_S = 3.0
# A worker of unknown identity lives as long as it is heard; its heartbeat comes every 2 s.
HEARD_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSigns:
    """What is known about the newest attempt of a stage; ages are in seconds, None: never."""

    is_launched: bool = False
    end_reason: str | None = None
    has_error: bool = False
    num_silent: int = 0
    exit: Exit | None = None
    worker: Liveness | None = None
    is_supervised: bool = False
    is_stopping: bool = False
    event_age_s: float | None = None
    work_age_s: float | None = None
    control_age_s: float | None = None
    work_limit_s: float = NO_WORK_LIMIT_S


def work_limit_s(*, step_s: float | None, phase: str | None, min_s: float) -> float:
    """Return how long a stage may go without an event of its work before it counts as hanging.

    Args:
        step_s: the median time of its steps; None where it has no steps, or too few yet.
        phase: what it says to be at instead of a step, such as "compile" or "checkpoint".
        min_s: the least that is granted where steps are timed.
    """
    if step_s is None:
        return NO_WORK_LIMIT_S
    limit_s = max(STALL_STEPS * step_s, min_s)
    return limit_s if phase is None else max(limit_s, NO_WORK_LIMIT_S)


def stage_state(signs: StageSigns) -> StageState:
    """Return the state of a stage."""
    if not signs.is_launched and signs.event_age_s is None:
        return "pending"
    match signs.end_reason:
        case "stopped" if _was_killed(signs.exit):
            # The other ranks stopped because one of them, or torchrun, was killed.
            return "killed"
        case "failed" if _lost_a_rank(signs.exit):
            # What the others said then is that they lost their peer.
            return "killed"
        case "stopped" if signs.num_silent and _came_unasked(signs.exit):
            # A rank that vanished makes torchrun stop the others.
            return "crashed"
        case "stopped" if signs.exit is not None and signs.exit.is_over_budget:
            return "budget"
        case "finished" | "stopped" | "failed" | "budget" as ended:
            return ended
    if signs.exit is not None:
        return _exited(signs.exit, signs.has_error)
    if signs.worker == "elsewhere":
        ages = (signs.event_age_s, signs.control_age_s)
        heard = [age for age in ages if age is not None and age < HEARTBEAT_LIMIT_S]
        return _living(signs) if heard else "lost"
    if signs.worker == "alive":
        return _living(signs)
    if signs.worker is None and signs.event_age_s is not None and signs.event_age_s < HEARD_S:
        # Its supervisor died between starting it and writing down who it is.
        return _living(signs)
    if signs.is_supervised and (signs.control_age_s or 0.0) < EXIT_NOTICE_S:
        return _living(signs)
    return "failed" if signs.has_error else "crashed"


def _exited(ended: Exit, has_error: bool) -> StageState:
    if has_error:
        return "failed"
    if ended.signal == signal.SIGTERM and ended.was_stopping:
        # Told to stop before it could even listen: nothing had begun, nothing is lost.
        return "budget" if ended.is_over_budget else "stopped"
    return "crashed" if ended.signal is None else "killed"


def _was_killed(ended: Exit | None) -> bool:
    return ended is not None and ended.signal is not None and not ended.was_stopping


def _lost_a_rank(ended: Exit | None) -> bool:
    """Return whether torchrun told of a rank that was killed, other than by itself."""
    if ended is None or ended.code is None:
        return False
    return _was_killed(ended) and ended.signal != signal.SIGTERM


def _came_unasked(ended: Exit | None) -> bool:
    return ended is not None and bool(ended.code) and not ended.was_stopping


def _living(signs: StageSigns) -> StageState:
    if signs.is_stopping:
        return "stopping"
    silence_s = signs.event_age_s if signs.event_age_s is not None else 0.0
    no_work_s = signs.work_age_s if signs.work_age_s is not None else 0.0
    is_stalled = silence_s > SILENCE_LIMIT_S or no_work_s > signs.work_limit_s
    return "stalled" if is_stalled else "running"


# What a supervisor says between stages; it waits before it restarts one.
_WORDS: Mapping[str, RunState] = {"stopping": "stopping", "waiting": "queued"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSigns:
    """What is known about a run; `launch` is the newest start that no supervisor confirmed.

    is_waiting: it stands in the queue. is_withdrawn: it was stopped before it was ever started.
    """

    stages: Sequence[StageState]
    supervisor: Liveness | None = None
    launch: Liveness | None = None
    word: str | None = None
    control_age_s: float | None = None
    is_waiting: bool = False
    is_withdrawn: bool = False


def current_stage(stages: Sequence[StageState]) -> int | None:
    """Return the index of the first stage that is not finished, or None."""
    return next((i for i, state in enumerate(stages) if state != "finished"), None)


def run_state(signs: RunSigns) -> RunState:
    """Return the state of a run: that of its current stage, unless it waits or ended between."""
    index = current_stage(signs.stages)
    if index is None:
        return "finished"
    current = signs.stages[index]
    if current in ACTIVE:
        return current
    # A launch beside a supervisor at work finds the lock taken and leaves: that is no news.
    is_at_work = signs.supervisor == "alive" and signs.word not in ENDED
    if (signs.launch == "alive" or signs.is_waiting) and not is_at_work:
        return "queued"
    if signs.supervisor is None:
        return _never_supervised(signs, current)
    is_silent = (signs.control_age_s or 0.0) > HEARTBEAT_LIMIT_S
    if signs.word in ENDED:
        return current if current in ENDED else _as_state(signs.word)
    if signs.supervisor == "alive" or (signs.supervisor == "elsewhere" and not is_silent):
        return _WORDS.get(signs.word or "", "running")
    if current in ENDED:
        return current
    return "lost" if signs.supervisor == "elsewhere" else "crashed"


def _never_supervised(signs: RunSigns, current: StageState) -> RunState:
    if current in ENDED:
        return current
    if signs.is_withdrawn:
        return "stopped"
    return "crashed" if signs.launch == "dead" else "queued"


def _as_state(word: str | None) -> RunState:
    match word:
        case "stopped" | "failed" | "killed" | "budget" | "lost" as state:
            return state
    return "crashed"
