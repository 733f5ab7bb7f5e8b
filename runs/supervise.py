"""The supervisor: a detached process that executes the stages of one run, one after another.

`python -m runs.supervise RUN_DIR`. It outlives the terminal, writes control.jsonl alone, and
leaves the workers alive when it is killed: a long stage is worth more than its keeper.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runs.command import STOP_GRACE_S, num_processes, worker_argv, worker_env
from runs.control import Exit, StageControl, fold_control
from runs.errors import LabError
from runs.facts import event_files, stage_facts
from runs.host import HostSampler
from runs.log import LogRecord, LogTail, append_record, read_log
from runs.paths import RunPaths
from runs.process import find_family, identify, send_signal
from runs.record import RunRecord, StagePlan, load_record
from runs.requests import pending_stop
from runs.states import StageSigns, StageState, stage_state
from runs.system import become_subreaper, hold_lock, rank_signal, reap

POLL_S = 0.2
HEARTBEAT_S = 2.0
SAMPLE_S = 5.0
LOCK_WAIT_S = 3.0
LEFTOVER_GRACE_S = 10.0
SETTLE_LIMIT_S = 120.0


class Supervisor:
    """Owns one run from the first unfinished stage to the last, or to what stops it."""

    def __init__(
        self, run_dir: Path, record: RunRecord, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._paths = RunPaths(run_dir)
        self._record = record
        self._clock = clock
        self._sampler = HostSampler(run_dir)
        self._requests = LogTail(self._paths.requests)
        self._asked: list[LogRecord] = []
        self._beat_due = self._sample_due = self._clock()
        self._kill_due: float | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._is_stopping = False
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
            if self._is_stopping:
                return self._end("stopped")
            state = self._run_stage(stage)
            if state != "finished":
                return self._end(state)
            if stage != self._record.stages[-1]:
                self._settle(stage.stage)
        return self._end("finished")

    def _stop(self) -> None:
        self._is_stopping = True
        self._kill_due = self._clock() + STOP_GRACE_S
        self._say("state", state="stopping")
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)

    def _end(self, state: StageState) -> StageState:
        self._has_ended = True
        self._say("state", state=state)
        stages = event_files(self._paths.run_dir)
        self._settle(*(stage.stage for stage in self._record.stages if stage.stage in stages))
        return state

    def _is_finished(self, stage: StagePlan) -> bool:
        facts = stage_facts(self._paths.run_dir, stage.stage)
        control = self._control(stage)
        known = control.attempt if control else 0
        is_finished = facts.end_reason == "finished" and facts.attempt >= known
        if is_finished and not (control and control.is_done):
            # Its supervisor died before it could say so.
            self._say("done", stage=stage.stage, attempt=facts.attempt)
        return is_finished

    def _control(self, stage: StagePlan) -> StageControl | None:
        return fold_control(read_log(self._paths.control)).stages.get(stage.stage)

    def _run_stage(self, stage: StagePlan) -> StageState:
        files = event_files(self._paths.run_dir).get(stage.stage, [])
        control = self._control(stage)
        known = [file.attempt for file in files] + ([control.attempt] if control else [])
        attempt = max(known, default=0) + 1
        argv = worker_argv(self._record, stage, self._paths.run_dir, attempt)
        self._say("launch", stage=stage.stage, attempt=attempt)
        env = worker_env(self._record, stage, self._paths.run_dir, os.environ)
        try:
            child = self._spawn(argv, env, self._paths.worker_log(stage.stage, attempt))
        except OSError as error:
            sys.stderr.write(f"supervisor: cannot start {stage.stage}: {error}\n")
            return self._outcome(stage, attempt, self._record_exit(stage, attempt, 127))
        identity = identify(child.pid)
        self._say(
            "stage",
            identity.as_record() if identity else {"pid": child.pid},
            stage=stage.stage,
            attempt=attempt,
            argv=argv,
        )
        self._wait(child)
        ended = self._record_exit(stage, attempt, child.returncode)
        self._sweep(STOP_GRACE_S if num_processes(self._record, stage) > 1 else LEFTOVER_GRACE_S)
        return self._outcome(stage, attempt, ended)

    def _spawn(self, argv: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "ab") as stream:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=self._paths.run_dir,
                env=env,
                start_new_session=True,
            )
        return self._child

    def _wait(self, child: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                child.wait(timeout=POLL_S)
            except subprocess.TimeoutExpired:
                self._tick()
                continue
            self._child = None
            return

    def _tick(self) -> None:
        now = self._clock()
        if not self._has_ended:
            self._heed_requests(now)
        if now >= self._beat_due:
            self._beat_due = now + HEARTBEAT_S
            self._say("heartbeat")
        if now >= self._sample_due:
            self._sample_due = now + SAMPLE_S
            self._sample()

    def _heed_requests(self, now: float) -> None:
        self._asked += self._requests.read()
        request = pending_stop(self._asked)
        if (request is not None or self.was_signalled) and not self._is_stopping:
            self._stop()
        is_forced = request is not None and request.data.get("now") is True
        if is_forced or (self._kill_due is not None and now > self._kill_due):
            for member in find_family(self._record.run_id):
                send_signal(member, signal.SIGKILL)

    def _sample(self) -> None:
        sample = self._sampler.sample(self._child.pid if self._child else None)
        append_record(self._paths.host, "sample", sample)
        alert = self._sampler.alert(sample)
        if alert is not None:
            append_record(self._paths.host, "alert", alert)

    def _record_exit(self, stage: StagePlan, attempt: int, returncode: int) -> Exit:
        number = -returncode if returncode < 0 else None
        if number is None and returncode and num_processes(self._record, stage) > 1:
            number = rank_signal(self._paths.worker_log(stage.stage, attempt))
        ended = Exit(
            code=returncode if returncode >= 0 else None,
            signal=number,
            was_stopping=self._is_stopping,
            t=time.time(),
        )
        self._say(
            "exit",
            stage=stage.stage,
            attempt=attempt,
            code=ended.code,
            signal=ended.signal,
            was_stopping=ended.was_stopping,
        )
        return ended

    def _sweep(self, grace_s: float) -> None:
        # Ranks that outlive torchrun, and children that outlive a worker, hold GPU memory.
        left = find_family(self._record.run_id)
        for member in left:
            send_signal(member, signal.SIGTERM)
        deadline = self._clock() + grace_s
        while left and self._clock() < deadline:
            reap()
            self._tick()
            left = find_family(self._record.run_id)
            if left:
                time.sleep(POLL_S)
        for member in left:
            send_signal(member, signal.SIGKILL)
        reap()

    def _outcome(self, stage: StagePlan, attempt: int, ended: Exit) -> StageState:
        facts = stage_facts(self._paths.run_dir, stage.stage)
        is_heard = facts.attempt == attempt
        state = stage_state(
            StageSigns(
                is_launched=True,
                end_reason=facts.end_reason if is_heard else None,
                has_error=is_heard and facts.error is not None,
                exit=ended,
            )
        )
        if state == "finished":
            self._say("done", stage=stage.stage, attempt=attempt)
        return state

    def _settle(self, *stages: str) -> None:
        # In a process of its own: whatever DuckDB or Arrow do there, the run goes on.
        argv = [sys.executable, "-P", "-m", "runs.settle", str(self._paths.run_dir), *stages]
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
        record = load_record(run_dir)
        lock = RunPaths(run_dir).supervisor_lock
        with hold_lock(lock, wait_s=LOCK_WAIT_S, what=f"run {record.slug}"):
            become_subreaper()
            supervisor = Supervisor(run_dir, record)
            _stop_on_signals(supervisor)
            supervisor.run()
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
