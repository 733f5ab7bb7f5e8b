"""Stages on several ranks, under a real torchrun: logs, stop, and ranks that are killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from runs.events import read_events
from runs.paths import LabHome, RunPaths
from runs.record import load_record
from runs.supervision.command import STOP_GRACE_S, worker_argv, worker_env
from runs.supervision.policy import Policy
from runs.supervision.process import find_family
from runs.supervision.requests import adopt, request_stop
from runs.supervision.system import rank_signal
from runs.views.query import load_run
from tests.runs.builders import (
    make_run,
    start,
    supervisor_pid,
    wait_for,
    wait_for_state,
    wait_for_step,
    worker_pid,
)

SLOW = {"steps": 600, "step_s": 0.05}


def rank_pids(paths: RunPaths) -> list[int]:
    torchrun = worker_pid(paths, "base")
    return [member.pid for member in find_family(paths.run_dir.name[:26]) if member.pid != torchrun]


def test_single_rank_is_plain_python_with_its_threads_untouched(home: LabHome) -> None:
    paths = make_run(home, nproc=2)
    record = load_record(paths.run_dir)
    argv = worker_argv(record, record.stage("tok"), paths.run_dir, 1)
    assert "torch.distributed.run" not in argv
    assert argv[-3:] == [str(paths.run_dir), "tok", "1"]
    env = worker_env(record, record.stage("tok"), paths.run_dir, 1, {"A": "b"})
    assert "OMP_NUM_THREADS" not in env
    assert env["LABCLI_HOME"] == str(home.root) and env["LABCLI_RUN"] == record.run_id
    assert "OMP_NUM_THREADS" in worker_env(record, record.stage("base"), paths.run_dir, 1, {})


@pytest.mark.parametrize(
    ("codes", "found"), [([-15, -9, -15], 9), ([-9], 9), ([-15], 15), ([1, 1], None)]
)
def test_the_signal_of_a_rank_is_that_of_the_one_that_torchrun_did_not_end(
    tmp_path: Path, codes: list[int], found: int | None
) -> None:
    log = tmp_path / "a1.log"
    log.write_text("".join(f"  exitcode  : {code} (pid: 7)\n" for code in codes))
    assert rank_signal(log) == found


def test_torchrun_is_asked_for_nothing_that_the_oldest_torch_refuses(home: LabHome) -> None:
    paths = make_run(home, nproc=2)
    record = load_record(paths.run_dir)
    known = {"--standalone", "--nproc-per-node", "--max-restarts", "--log-dir", "-r", "-t"}
    argv = worker_argv(record, record.stage("base"), paths.run_dir, 1)
    options = argv[argv.index("torch.distributed.run") + 1 : -len(record.worker) - 3]
    assert {word for word in options if word.startswith("-")} == known
    env = worker_env(record, record.stage("base"), paths.run_dir, 1, {})
    assert env["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] == str(STOP_GRACE_S)


def test_stage_on_two_ranks_finishes_and_stops_gracefully(home: LabHome) -> None:
    paths = start(make_run(home, {"tok": {}, "base": {"steps": 3}, "mid": SLOW}, nproc=2))
    wait_for_step(paths, "mid", 2)
    view = load_run(paths.run_dir)
    assert view.stages[1].state == "finished"
    assert [r.kind for r in read_events(paths.events("base", 1, 1))] == ["start", "end"]
    assert paths.worker_log("base", 1).exists()
    request_stop(paths.run_dir)
    assert wait_for_state(paths, "stopped").stages[2].state == "stopped"
    assert find_family(view.run_id) == []


def test_killed_rank_is_a_killed_stage_and_leaves_no_process(home: LabHome) -> None:
    paths = start(make_run(home, {"base": SLOW}, nproc=2))
    wait_for_step(paths, "base", 2)
    os.kill(rank_pids(paths)[0], signal.SIGKILL)
    view = wait_for_state(paths, "killed")
    assert view.problem is not None and "killed by signal 9" in view.problem
    wait_for(lambda: not find_family(view.run_id), "the ranks to be gone")


def test_ranks_checkpoint_and_end_when_torchrun_is_killed(home: LabHome) -> None:
    paths = start(make_run(home, {"base": SLOW}, nproc=2))
    wait_for_step(paths, "base", 2)
    os.kill(worker_pid(paths, "base"), signal.SIGKILL)
    view = wait_for_state(paths, "killed")
    wait_for(lambda: not find_family(view.run_id), "the ranks to be gone")


def test_rank_that_vanishes_is_a_crash_whatever_the_others_say(home: LabHome) -> None:
    config = {**SLOW, "vanish_at": 4, "vanish_rank": 1, "last_words": "GPU fell off the bus"}
    paths = start(make_run(home, {"base": config}, nproc=2))
    view = wait_for_state(paths, "crashed")
    ends = {rank: [r.kind for r in read_events(paths.events("base", 1, rank))] for rank in (0, 1)}
    assert ends[0][-1] == "end" and "end" not in ends[1]
    assert view.problem is not None and "GPU fell off the bus" in view.problem


def test_adopted_ranks_go_on_and_their_hang_has_an_autopsy_of_each(home: LabHome) -> None:
    config = {"steps": 90, "step_s": 0.05, "hang_at": 30}
    paths = start(make_run(home, {"base": config}, nproc=2, policy=Policy(stall_min_s=1.0)))
    wait_for_step(paths, "base", 2)
    ranks = rank_pids(paths)
    os.kill(supervisor_pid(paths), signal.SIGKILL)
    wait_for(lambda: load_run(paths.run_dir).problem, "the missing supervisor")
    adopt(paths.run_dir)
    wait_for(lambda: list(paths.log_dir("base").glob("*.stall-1.txt")), "the autopsy")
    text = (paths.log_dir("base") / "a1.stall-1.txt").read_text()
    assert text.count("in wait_for_nobody") == 2
    assert "stacks of rank 0" in text and "stacks of rank 1" in text
    assert text.count("stderr.log ==") == 2
    assert rank_pids(paths) == ranks and load_run(paths.run_dir).stages[0].attempt == 1
    request_stop(paths.run_dir, now=True)
    wait_for(lambda: not find_family(paths.run_dir.name[:26]), "the ranks to be gone")
