"""One attempt of a stage as its supervisor has it: begun or taken over, ended, judged."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runs.log import read_log
from runs.paths import RunPaths
from runs.record import RunRecord, StagePlan
from runs.scheduling.leases import inherited_fds
from runs.scheduling.snapshot import snapshot_dir
from runs.supervision.command import (
    STOP_GRACE_S,
    error_file,
    num_processes,
    worker_argv,
    worker_env,
)
from runs.supervision.control import Exit, StageControl, fold_control
from runs.supervision.held import Adopted, Held, Returned, Spawned
from runs.supervision.process import find_family, is_alive, send_signal
from runs.supervision.system import last_words, rank_signal
from runs.views import checkpoints
from runs.views.facts import event_files, stage_facts
from runs.views.states import StageSigns, StageState, stage_state

Say = Callable[..., None]
# What a shell returns for a command that cannot be run.
_CANNOT_START = 127
_SWEEP_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A process at work on a stage; `held` is None when it could not be started."""

    stage: StagePlan
    number: int
    held: Held | None


def stage_control(paths: RunPaths, stage: str) -> StageControl | None:
    """Return the newest attempt of a stage, as its supervisors wrote it down."""
    return fold_control(read_log(paths.control)).stages.get(stage)


def begin(
    paths: RunPaths,
    record: RunRecord,
    stage: StagePlan,
    *,
    is_adopting: bool,
    say: Say,
    tick: Callable[[], None],
) -> Attempt:
    """Take over the worker that another supervisor left at this stage, else start the next one.

    With `is_adopting` a worker that has just died is taken over too: what follows its death is
    decided as for any other.
    """
    control = stage_control(paths, stage.stage)
    worker = control.worker if control and control.exit is None else None
    if control is not None and worker is not None and (is_adopting or is_alive(worker)):
        say("adopt", worker.as_record(), stage=stage.stage, attempt=control.attempt)
        return Attempt(stage=stage, number=control.attempt, held=Adopted(worker))
    # What is left now was never written down, or belongs to a torchrun that is gone: two workers
    # at one stage would write over each other's checkpoints.
    end_family(record.run_id, grace_s=STOP_GRACE_S, tick=tick)
    files = event_files(paths.run_dir).get(stage.stage, [])
    known = [file.attempt for file in files] + ([control.attempt] if control else [])
    return _start(paths, record, stage, max(known, default=0) + 1, say)


def _start(paths: RunPaths, record: RunRecord, stage: StagePlan, number: int, say: Say) -> Attempt:
    argv = worker_argv(record, stage, paths.run_dir, number)
    say("launch", stage=stage.stage, attempt=number)
    snapshot = snapshot_dir(paths, record.source)
    try:
        if snapshot is not None and not snapshot.is_dir():
            # Whatever is installed now is not what the run was queued with.
            raise FileNotFoundError(f"the source snapshot {snapshot} is gone")
        held = Spawned(
            argv,
            env=worker_env(record, stage, paths.run_dir, number, os.environ),
            cwd=paths.run_dir,
            log=paths.worker_log(stage.stage, number),
            fds=inherited_fds(os.environ),
        )
    except OSError as error:
        message = f"cannot start {stage.stage}: {error}"
        say("note", stage=stage.stage, message=message)
        paths.log_dir(stage.stage).mkdir(parents=True, exist_ok=True)
        paths.worker_log(stage.stage, number).write_text(message + "\n", encoding="utf-8")
        return Attempt(stage=stage, number=number, held=None)
    identity = held.identity.as_record() if held.identity else {"pid": held.pid}
    say("stage", identity, stage=stage.stage, attempt=number, argv=argv)
    return Attempt(stage=stage, number=number, held=held)


def record_exit(
    paths: RunPaths,
    record: RunRecord,
    attempt: Attempt,
    returned: Returned | None,
    *,
    was_stopping: bool,
    is_over_budget: bool,
    say: Say,
) -> Exit:
    """Write down how the process of an attempt ended, and return it."""
    stage, number = attempt.stage.stage, attempt.number
    returned = returned or Returned(code=_CANNOT_START)
    has_ranks = num_processes(record, attempt.stage) > 1
    log = paths.worker_log(stage, number)
    killer = returned.signal
    if has_ranks and killer is None and returned.code != 0:
        killer = rank_signal(log)
    facts = stage_facts(paths.run_dir, stage)
    has_told = facts.attempt == number and (facts.error or not facts.num_silent)
    ended = Exit(
        code=returned.code,
        signal=killer,
        was_stopping=was_stopping,
        is_over_budget=is_over_budget,
        t=time.time(),
        why=None
        if has_told
        else last_words(
            error_file(paths.run_dir, stage, number).parent, None if has_ranks else log
        ),
    )
    body: dict[str, Any] = {
        "code": ended.code,
        "signal": ended.signal,
        "was_stopping": ended.was_stopping,
        "is_over_budget": ended.is_over_budget,
        "why": ended.why,
    }
    say("exit", body, stage=stage, attempt=number)
    return ended


def outcome(paths: RunPaths, attempt: Attempt, ended: Exit) -> StageState:
    """Return the state in which an attempt left its stage, by what its ranks said last."""
    facts = stage_facts(paths.run_dir, attempt.stage.stage)
    is_heard = facts.attempt == attempt.number
    return stage_state(
        StageSigns(
            is_launched=True,
            end_reason=facts.end_reason if is_heard else None,
            has_error=is_heard and facts.error is not None,
            num_silent=facts.num_silent if is_heard else 0,
            exit=ended,
        )
    )


def newest_step(paths: RunPaths, stage: str) -> int:
    """Return the step from which the next attempt would go on; 0 is the beginning."""
    newest = checkpoints.newest(paths.checkpoints_dir(stage))
    return newest.step if newest else 0


def end_family(run_id: str, *, grace_s: float, tick: Callable[[], None]) -> None:
    """End what is left of a run's processes: first asked, after `grace_s` made to.

    Ranks that outlive torchrun, and children that outlive a worker, hold GPU memory.
    """
    left = find_family(run_id)
    for member in left:
        send_signal(member, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while left and time.monotonic() < deadline:
        tick()
        left = find_family(run_id)
        if left:
            time.sleep(_SWEEP_POLL_S)
    for member in left:
        send_signal(member, signal.SIGKILL)
