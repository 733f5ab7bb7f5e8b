"""The supervisor: a detached process that executes the stages of one run, one after another.

`python -m runs.supervision.supervise RUN_DIR [--adopt]`. It outlives the terminal, writes
control.jsonl alone,
and leaves the workers alive when it is killed: a long stage is worth more than its keeper. The
next supervisor takes over what the last one left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runs.alerting.desk import AlertDesk
from runs.errors import LabError
from runs.launch.local import ADOPT
from runs.log import LogRecord, LogTail, append_record
from runs.paths import RunPaths
from runs.record import RunRecord, StagePlan, load_record
from runs.scheduling.budget import BudgetWatch
from runs.supervision.attempt import (
    Attempt,
    begin,
    end_family,
    newest_step,
    outcome,
    record_exit,
    stage_control,
)
from runs.supervision.command import STOP_GRACE_S, num_processes
from runs.supervision.held import Returned
from runs.supervision.host import HostLog
from runs.supervision.process import find_family, identify, send_signal
from runs.supervision.ranks import with_ranks
from runs.supervision.requests import pending_stop, wants_retry
from runs.supervision.restarts import BadEnd, NoRestart, Restart, Restarts
from runs.supervision.stall import Hang, StallWatch
from runs.supervision.system import become_subreaper, hold_lock, reap
from runs.views.facts import event_files, stage_facts
from runs.views.states import StageState

POLL_S = 0.2
HEARTBEAT_S = 2.0
LOCK_WAIT_S = 1.5
LEFTOVER_GRACE_S = 10.0
# A stage that hangs gets this long to write a checkpoint before it is killed for a restart.
STALL_GRACE_S = 10.0
SETTLE_LIMIT_S = 120.0
_ENDED: Mapping[str, str] = {
    "failed": "failed", "crashed": "crashed", "killed": "was killed", "stalled": "hung",
}  # fmt: skip


class Supervisor:
    """Owns one run from the first unfinished stage to the last, or to what stops it."""

    def __init__(
        self,
        run_dir: Path,
        record: RunRecord,
        *,
        is_adopting: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = RunPaths(run_dir)
        self._record = record
        self._is_adopting = is_adopting
        self._clock = clock
        self._host = HostLog(run_dir, clock=clock)
        self._desk = AlertDesk(run_dir, record, self._host)
        self._requests = LogTail(self._paths.requests)
        self._asked: list[LogRecord] = []
        self._beat_due = clock()
        self._kill_due: float | None = None
        self._attempt: Attempt | None = None
        self._watch: StallWatch | None = None
        self._was_hanging = False
        self._budget = BudgetWatch(run_dir, record)
        self._is_stopping = False
        self._is_over_budget = False
        self._has_ended = False
        self.was_signalled = False

    def run(self) -> StageState:
        """Execute every stage that is not finished yet, and return how the run ended."""
        self._say("supervisor", _own_identity(), argv=sys.argv)
        self._say("state", state="running")
        for stage in self._record.stages:
            if self._is_finished(stage):
                continue
            self._tick()
            if self._is_stopping and not self._has_worker_to_adopt(stage):
                return self._end("budget" if self._is_over_budget else "stopped")
            state = self._run_stage(stage)
            if state != "finished":
                return self._end(state)
            if stage != self._record.stages[-1]:
                self._settle(stage.stage)
        return self._end("finished")

    def _has_worker_to_adopt(self, stage: StagePlan) -> bool:
        """Return whether a worker is at this stage that would go on if nobody stopped it."""
        control = stage_control(self._paths, stage.stage) if self._is_adopting else None
        return control is not None and control.worker is not None and control.exit is None

    def _end(self, state: StageState) -> StageState:
        self._has_ended = True
        self._say("state", state=state)
        self._desk.ended(state)
        stages = event_files(self._paths.run_dir)
        self._settle(*(stage.stage for stage in self._record.stages if stage.stage in stages))
        return state

    def close(self) -> None:
        """Leave what is still to be sent to others."""
        self._desk.close()

    def _is_finished(self, stage: StagePlan) -> bool:
        facts = stage_facts(self._paths.run_dir, stage.stage)
        control = stage_control(self._paths, stage.stage)
        known = control.attempt if control else 0
        is_finished = facts.end_reason == "finished" and facts.attempt >= known
        if is_finished and not (control and control.is_done):
            # Its supervisor died before it could say so.
            self._say("done", stage=stage.stage, attempt=facts.attempt)
        return is_finished

    def _run_stage(self, stage: StagePlan) -> StageState:
        restarts = Restarts(self._record.policy, step=newest_step(self._paths, stage.stage))
        while True:
            state = self._run_attempt(stage)
            if self._is_stopping or state == "finished":
                return state
            ended_as: StageState = "stalled" if self._was_hanging else state
            if not self._is_restarted(stage, ended_as, restarts):
                return state
            self._say("state", state="running")

    def _run_attempt(self, stage: StagePlan) -> StageState:
        self._was_hanging = False
        attempt = begin(
            self._paths, self._record, stage,
            is_adopting=self._is_adopting, say=self._say, tick=self._tick,
        )  # fmt: skip
        self._is_adopting = False
        self._attempt = attempt
        self._watch = StallWatch(
            self._paths.run_dir, stage.stage, attempt.number, self._record.policy
        )
        if self._is_stopping and attempt.held is not None:
            # Asked for before there was a worker to tell.
            attempt.held.send(signal.SIGTERM)
        returned = self._wait(attempt)
        self._attempt = self._watch = None
        ended = record_exit(
            self._paths, self._record, attempt, returned,
            was_stopping=self._is_stopping, is_over_budget=self._is_over_budget, say=self._say,
        )  # fmt: skip
        has_ranks = num_processes(self._record, stage) > 1
        grace_s = STOP_GRACE_S if has_ranks else LEFTOVER_GRACE_S
        end_family(self._record.run_id, grace_s=grace_s, tick=self._tick)
        reap()
        state = outcome(self._paths, attempt, ended)
        if state == "finished":
            self._say("done", stage=stage.stage, attempt=attempt.number)
        return state

    def _wait(self, attempt: Attempt) -> Returned | None:
        if attempt.held is None:
            return None
        while (returned := attempt.held.wait(POLL_S)) is None:
            self._tick()
            self._look_for_a_hang(attempt)
            self._desk.look(attempt.stage.stage, attempt.number)
        self._desk.look(attempt.stage.stage, attempt.number, is_last=True)
        return returned

    def _is_restarted(self, stage: StagePlan, state: StageState, restarts: Restarts) -> bool:
        """Decide whether a stage is begun again, and if so return when its time has come."""
        facts = stage_facts(self._paths.run_dir, stage.stage)
        control = stage_control(self._paths, stage.stage)
        number = control.attempt if control else 0
        step = newest_step(self._paths, stage.stage)
        error_type = facts.error_type if facts.attempt == number else None
        match restarts.decide(BadEnd(state=state, step=step, error_type=error_type)):
            case NoRestart(reason=None):
                return False
            case NoRestart(reason=reason):
                message = (
                    f"{stage.stage} {_ENDED[state]} and is not restarted: {reason}; "
                    f"see labcli runs logs {self._record.slug}"
                )
                self._say("gave-up", stage=stage.stage, attempt=number, message=message)
                return False
            case Restart(number=made, delay_s=delay_s):
                origin = f"step {step}" if step else "its beginning"
                count = f"restart {made} of {self._record.policy.retries}"
                message = (
                    f"{stage.stage} {_ENDED[state]}; {count} from {origin} after {delay_s:.3g} s"
                )
                body = {"delay_s": delay_s, "message": message}
                self._say("retry", body, stage=stage.stage, attempt=number)
                self._say("state", state="waiting")
                self._back_off(delay_s)
        return not self._is_stopping

    def _back_off(self, delay_s: float) -> None:
        began_s, num_asked = self._clock(), len(self._asked)
        while self._clock() - began_s < delay_s and not self._is_stopping:
            if wants_retry(self._asked[num_asked:]):
                return
            time.sleep(min(POLL_S, delay_s))
            self._tick()

    def _look_for_a_hang(self, attempt: Attempt) -> None:
        if self._watch is None or self._is_stopping:
            return
        match self._watch.look():
            case Hang() as hang:
                self._handle_hang(attempt, hang)
            case "goes on":
                stage, number = attempt.stage.stage, attempt.number
                self._say("recovered", stage=stage, attempt=number)
                self._host.alert("recovered", "info", f"{stage} goes on")

    def _handle_hang(self, attempt: Attempt, hang: Hang) -> None:
        stage, number = attempt.stage.stage, attempt.number
        autopsy = self._host.record_hang(self._record.run_id, stage, number, hang)
        is_restart = self._record.policy.on_stall == "restart"
        then = "it is restarted" if is_restart else f"stop it: labcli runs stop {self._record.slug}"
        message = f"{stage} hangs: {hang.describe()}; see {autopsy}; {then}"
        body = {"message": message, "autopsy": autopsy, "limit_s": hang.limit_s}
        self._say("stall", body, stage=stage, attempt=number)
        if is_restart:
            self._was_hanging = True
            grace_s = min(STALL_GRACE_S, self._record.policy.stall_min_s)
            end_family(self._record.run_id, grace_s=grace_s, tick=self._tick)

    def _stop(self) -> None:
        self._is_stopping = True
        self._kill_due = self._clock() + STOP_GRACE_S
        self._say("state", state="stopping")
        if self._attempt is not None and self._attempt.held is not None:
            self._attempt.held.send(signal.SIGTERM)

    def _tick(self) -> None:
        now = self._clock()
        if not self._has_ended:
            self._heed_requests(now)
            self._heed_budget()
        if now >= self._beat_due:
            self._beat_due = now + HEARTBEAT_S
            self._say("heartbeat")
        held = self._attempt.held if self._attempt else None
        self._host.tick(held.pid if held else None)

    def _heed_requests(self, now: float) -> None:
        self._asked += self._requests.read()
        request = pending_stop(self._asked)
        if (request is not None or self.was_signalled) and not self._is_stopping:
            self._stop()
        is_forced = request is not None and request.data.get("now") is True
        if is_forced or (self._kill_due is not None and now > self._kill_due):
            for member in find_family(self._record.run_id):
                send_signal(member, signal.SIGKILL)

    def _heed_budget(self) -> None:
        reached = None if self._is_stopping else self._budget.look()
        if reached is not None:
            self._is_over_budget = True
            self._say("budget", message=reached)
            self._stop()

    def _settle(self, *stages: str) -> None:
        # In a process of its own: whatever DuckDB or Arrow do there, the run goes on.
        settle = [sys.executable, "-P", "-m", "runs.supervision.settle"]
        argv = [*settle, str(self._paths.run_dir), *stages]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = self._clock() + SETTLE_LIMIT_S
        while child.poll() is None:
            if self._clock() > deadline:
                child.kill()
            self._tick()
            time.sleep(POLL_S / 4)

    def _say(self, kind: str, data: dict[str, Any] | None = None, **more: Any) -> None:
        body = {**(data or {}), **more}
        append_record(self._paths.control, kind, body, sync=kind != "heartbeat")


def main(argv: list[str]) -> int:
    """Supervise the run in argv[0] and return an exit code; never call this in a terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run_dir = Path(argv[0]).absolute()
    try:
        record = with_ranks(run_dir, load_record(run_dir))
        lock = RunPaths(run_dir).supervisor_lock
        with hold_lock(lock, wait_s=LOCK_WAIT_S, what=f"run {record.slug}"):
            become_subreaper()
            supervisor = Supervisor(run_dir, record, is_adopting=ADOPT in argv[1:])
            _stop_on_signals(supervisor)
            supervisor.run()
            supervisor.close()
    except LabError as error:
        sys.stderr.write(f"supervisor: {error}\n")
        return int(error.exit_code)
    return 0


def _stop_on_signals(supervisor: Supervisor) -> None:
    def stop(number: int, frame: object) -> None:
        supervisor.was_signalled = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _own_identity() -> dict[str, Any]:
    identity = identify(os.getpid())
    return identity.as_record() if identity else {"pid": os.getpid()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
