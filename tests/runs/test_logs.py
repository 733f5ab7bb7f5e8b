"""Append-only logs and the identity of processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from runs.log import LogTail, append_record, read_log
from runs.supervision.process import (
    RUN_TAG,
    ProcessIdentity,
    boot_key,
    find_family,
    identify,
    identity_from,
    is_alive,
    liveness,
    send_signal,
)
from tests.runs.builders import wait_for

WAITING = [sys.executable, "-c", "import sys; sys.stdin.read()"]


def test_records_come_back_in_order_with_their_fields(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.jsonl"
    assert append_record(path, "a", {"x": 1}, clock=lambda: 5.0)
    assert append_record(path, "b", {"y": float("nan")}, sync=True)
    first, second = read_log(path)
    assert (first.t, first.kind, first.data) == (5.0, "a", {"x": 1})
    assert second.data == {"y": "NaN"}


def test_append_after_a_torn_line_starts_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append_record(path, "a", {})
    with open(path, "ab") as stream:
        stream.write(b'{"v":1,"t":3,"ki')
    append_record(path, "b", {})
    assert [record.kind for record in read_log(path)] == ["a", "b"]


def test_append_that_fails_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not append_record(tmp_path / "file" / "log.jsonl", "a", {})


def test_tail_starts_over_when_the_log_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append_record(path, "a", {"long": "x" * 50})
    tail = LogTail(path)
    assert len(tail.read()) == 1
    path.unlink()
    append_record(path, "b", {})
    assert [record.kind for record in tail.read()] == ["b"]


def test_many_processes_append_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    code = (
        "import sys; from pathlib import Path; from runs.log import append_record\n"
        "for i in range(200): append_record(Path(sys.argv[1]), 'k', {'pad': 'x' * 200})"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    # A writer that looks while another is writing may take the line for torn and close it: an
    # empty line, which readers pass over.
    lines = [line for line in path.read_bytes().splitlines() if line]
    assert len(lines) == 600 and all(json.loads(line)["kind"] == "k" for line in lines)


def test_identity_survives_a_log(tmp_path: Path) -> None:
    me = identify(os.getpid())
    assert me is not None
    append_record(tmp_path / "log", "p", me.as_record())
    assert identity_from(read_log(tmp_path / "log")[0].data) == me
    assert is_alive(me)


def test_process_is_dead_as_soon_as_it_is_a_zombie() -> None:
    child = subprocess.Popen(WAITING, stdin=subprocess.PIPE)
    identity = identify(child.pid)
    assert identity is not None and is_alive(identity)
    assert send_signal(identity, signal.SIGKILL)
    wait_for(lambda: not is_alive(identity), "the child to die")
    assert not send_signal(identity, signal.SIGKILL)
    child.communicate()


def test_signal_never_hits_a_process_that_took_over_the_id() -> None:
    child = subprocess.Popen(WAITING, stdin=subprocess.PIPE)
    identity = identify(child.pid)
    assert identity is not None
    former = ProcessIdentity(pid=child.pid, start=identity.start - 1, boot=identity.boot)
    assert not send_signal(former, signal.SIGKILL)
    assert is_alive(identity)
    child.communicate()


def test_process_of_another_boot_cannot_be_seen() -> None:
    assert liveness(ProcessIdentity(pid=os.getpid(), start=1, boot="other")) == "elsewhere"
    assert liveness(ProcessIdentity(pid=os.getpid(), start=1, boot=boot_key())) == "dead"


def test_family_is_found_by_the_tag_in_the_environment() -> None:
    env = {**os.environ, RUN_TAG: "test-family"}
    child = subprocess.Popen(WAITING, stdin=subprocess.PIPE, env=env)
    wait_for(lambda: find_family("test-family"), "the tag to be visible")
    assert [member.pid for member in find_family("test-family")] == [child.pid]
    child.communicate()
    assert find_family("test-family") == []
