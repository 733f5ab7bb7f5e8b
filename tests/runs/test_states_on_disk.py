"""Every state of a run, read from the files that lead to it: no process is started."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from runs.events import End, Error, Event, EventLog, Heartbeat, Start, Step
from runs.log import append_record
from runs.paths import LabHome, RunPaths
from runs.supervision.process import identify
from runs.views.query import load_run
from tests.runs.builders import make_run

Facts = dict[str, Any]


def here() -> Facts:
    """The identity of a process that lives: this one."""
    identity = identify(os.getpid())
    assert identity is not None
    return identity.as_record()


def gone() -> Facts:
    """The identity of a process that ended: its id may be another's by now."""
    return {**here(), "start": 1}


def elsewhere() -> Facts:
    """The identity of a process of another boot, or of another machine."""
    return {**here(), "boot": "another"}


class Disk:
    """The files of one run, written as its processes would have, some seconds ago."""

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths

    def control(self, kind: str, ago_s: float = 1.0, /, **data: Any) -> Disk:
        append_record(self.paths.control, kind, data, clock=lambda: time.time() - ago_s)
        return self

    def supervised(self, by: Facts, ago_s: float = 1.0) -> Disk:
        return self.control("supervisor", ago_s, **by).control("state", ago_s, state="running")

    def launched(self, worker: Facts, ago_s: float = 1.0) -> Disk:
        self.control("launch", ago_s, stage="base", attempt=1)
        return self.control("stage", ago_s, stage="base", attempt=1, **worker)

    def exited(self, **how: Any) -> Disk:
        return self.control("exit", stage="base", attempt=1, **how)

    def says(self, *events: Event, ago_s: float = 1.0) -> Disk:
        start = Start(
            stage="base",
            attempt=1,
            config_hash="c",
            host="h",
            device="cpu",
            torch=None,
            world_size=1,
            argv=(),
        )
        path = self.paths.events("base", 1)
        with EventLog(path, clock=lambda: time.time() - ago_s) as log:
            for event in (start, *events):
                assert log.append(event)
        return self


def launched_only(disk: Disk) -> None:
    append_record(disk.paths.requests, "spawned", here())


def between_restarts(disk: Disk) -> None:
    disk.supervised(here()).launched(gone()).exited(signal=9).control("state", state="waiting")


def between_restarts_alone(disk: Disk) -> None:
    promise = {"stage": "base", "attempt": 1, "message": "base was killed; restart 1 of 3"}
    disk.supervised(gone()).launched(gone()).exited(signal=9).control("retry", **promise)
    disk.control("state", state="waiting")


def at_work(disk: Disk) -> None:
    disk.supervised(here()).launched(here()).says()


def without_supervisor(disk: Disk) -> None:
    disk.supervised(gone()).launched(here()).says()


def silent(disk: Disk) -> None:
    disk.supervised(here(), 90).launched(here(), 90).says(ago_s=80).control("heartbeat")


def without_progress(disk: Disk) -> None:
    disk.supervised(here(), 900).launched(here(), 900)
    steps = [Step(step=number, total_steps=99, metrics={}) for number in range(1, 6)]
    disk.says(*steps, ago_s=100)
    with EventLog(disk.paths.events("base", 1)) as log:
        assert log.append(Heartbeat())


def told_to_stop(disk: Disk) -> None:
    disk.supervised(here()).launched(here()).says().control("state", state="stopping")


def ended(reason: Any) -> Callable[[Disk], None]:
    def write(disk: Disk) -> None:
        disk.supervised(gone()).launched(gone()).says(End(reason=reason)).exited(code=0)
        disk.control("state", state=reason)

    return write


def failed(disk: Disk) -> None:
    error = Error(type="ValueError", message="bad batch", traceback="")
    disk.supervised(gone()).launched(gone()).says(error, End(reason="failed")).exited(code=1)


def gone_without_a_word(disk: Disk) -> None:
    disk.supervised(gone()).launched(gone()).says()


def killed(disk: Disk) -> None:
    disk.supervised(here()).launched(gone()).says().exited(signal=9).control(
        "state", state="killed"
    )


def of_another_boot(disk: Disk) -> None:
    disk.supervised(elsewhere(), 90).launched(elsewhere(), 90).says(ago_s=60)


def of_another_host_that_is_heard(disk: Disk) -> None:
    disk.supervised(elsewhere(), 90).launched(elsewhere(), 90).says(ago_s=2).control("heartbeat")


@pytest.mark.parametrize(
    ("write", "state"),
    [
        (lambda disk: None, "queued"),
        (launched_only, "queued"),
        (between_restarts, "queued"),
        (at_work, "running"),
        (without_supervisor, "running"),
        (of_another_host_that_is_heard, "running"),
        (silent, "stalled"),
        (without_progress, "stalled"),
        (told_to_stop, "stopping"),
        (ended("finished"), "finished"),
        (ended("stopped"), "stopped"),
        (ended("budget"), "budget"),
        (failed, "failed"),
        (gone_without_a_word, "crashed"),
        (killed, "killed"),
        (between_restarts_alone, "killed"),
        (of_another_boot, "lost"),
    ],
)
def test_state_is_read_from_the_files(
    home: LabHome, write: Callable[[Disk], None], state: str
) -> None:
    paths = make_run(home, {"base": {}})
    write(Disk(paths))
    assert load_run(paths.run_dir).state == state
    # The files named this test as supervisor and worker: nobody may end it after the test.
    for path in (paths.control, paths.requests):
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "write",
    [without_supervisor, of_another_boot, gone_without_a_word, between_restarts_alone],
)
def test_problem_names_the_command_that_helps(home: LabHome, write: Callable[[Disk], None]) -> None:
    paths = make_run(home, {"base": {}})
    write(Disk(paths))
    problem = load_run(paths.run_dir).problem
    paths.control.unlink()
    command = "adopt" if write is without_supervisor else "resume"
    assert problem is not None and f"labcli runs {command}" in problem


def test_problem_of_a_crash_tells_that_the_disk_was_full(home: LabHome) -> None:
    paths = make_run(home, {"base": {}})
    gone_without_a_word(Disk(paths))
    warning = {"code": "disk-low", "severity": "warning", "message": "only 0 MB left"}
    append_record(paths.host, "alert", warning)
    assert "the disk was nearly full: free some, then: labcli runs resume" in str(
        load_run(paths.run_dir).problem
    )
