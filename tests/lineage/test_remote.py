"""Following runs on other machines: everything once, over broken connections, and clear words."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from labcli.following.fleet import Target, parse_target
from runs.errors import NotFound, UsageError
from runs.events import End
from runs.log import append_record
from runs.paths import LabHome
from runs.remote.logs import LAST, Remark, RemoteRecord, RemoteRun, pick_run
from runs.remote.shell import Refused, RemoteShell, Unreachable
from tests.builders import RunBuilder, build_finished_run, build_run, checkpoint, step
from tests.cli.conftest import Labcli
from tests.lineage.boxes import Boxes, make_boxes

ENV: dict[str, str] = {}


@pytest.fixture
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Boxes:
    found, path = make_boxes(tmp_path)
    monkeypatch.setenv("PATH", path)
    monkeypatch.delenv("LABCLI_SSH", raising=False)
    return found


def ended(run: RunBuilder) -> RunBuilder:
    append_record(run.paths.control, "supervisor", {"pid": 1, "start": 1, "boot": "x"})
    append_record(run.paths.control, "state", {"state": "finished"})
    return run


def running(boxes: Boxes, host: str = "box1") -> RunBuilder:
    return build_run(LabHome(boxes.home(host)), stages=("base",)).log("base", step(1))


class Script:
    """Stands in for the pauses of a follower: does the next thing instead of waiting."""

    def __init__(self, *acts: object) -> None:
        self._acts: Iterator[object] = iter(acts)
        self.pauses: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        act = next(self._acts, None)
        if callable(act):
            act()


def steps(batches: list[list[RemoteRecord] | Remark]) -> list[int]:
    items = itertools.chain.from_iterable(one for one in batches if isinstance(one, list))
    return [item.record.data["step"] for item in items if item.record.kind == "step"]


def remarks(batches: list[list[RemoteRecord] | Remark]) -> list[str]:
    return [one.text for one in batches if isinstance(one, Remark)]


def test_what_is_written_while_it_is_followed_arrives_once_and_in_order(boxes: Boxes) -> None:
    run = running(boxes)
    path = run.paths.events("base", 1)

    def write_half_a_line() -> None:
        with open(path, "ab") as stream:
            stream.write(b'{"v":1,"seq":5,"t":9999999999.0,"kind":"st')

    def write_the_rest() -> None:
        with open(path, "ab") as stream:
            stream.write(b'ep","step":4,"total_steps":9,"metrics":{}}\n')

    script = Script(
        lambda: run.log("base", step(2), step(3), attempt=1),
        write_half_a_line,
        write_the_rest,
        lambda: ended(run),
    )
    batches = list(RemoteRun("box1", LAST, ENV, wait=script).follow())
    assert steps(batches) == [1, 2, 3, 4]


def test_a_connection_that_breaks_is_made_again_and_nothing_is_lost_or_shown_twice(
    boxes: Boxes,
) -> None:
    run = running(boxes)

    def cut() -> None:
        os.kill(boxes.pids("box1")[-1], signal.SIGKILL)
        run.log("base", step(2))

    script = Script(cut, lambda: boxes.pids("box1"), cut, None, lambda: ended(run))
    batches = list(RemoteRun("box1", LAST, ENV, wait=script).follow())
    assert steps(batches) == [1, 2, 2]
    assert len(boxes.pids("box1")) == 3
    assert "trying again in 1 s" in remarks(batches)[0]


def test_the_waits_between_connections_grow(boxes: Boxes) -> None:
    run = running(boxes)

    def cut() -> None:
        boxes.refuse("box1", "ssh: connect to host box1 port 22: Connection refused")
        os.kill(boxes.pids("box1")[-1], signal.SIGKILL)

    def come_back() -> None:
        boxes.accept("box1")
        ended(run)

    script = Script(cut, None, None, come_back)
    batches = list(RemoteRun("box1", LAST, ENV, wait=script).follow())
    assert script.pauses[1:] == [1.0, 2.0, 4.0]
    assert remarks(batches)[-1] == "box1 is back"


def test_a_host_key_that_is_not_known_is_said_with_what_to_do(boxes: Boxes) -> None:
    boxes.refuse("box1", "No ED25519 host key is known.\nHost key verification failed.")
    with pytest.raises(Refused, match="connect once by hand: ssh box1"):
        list(RemoteRun("box1", LAST, ENV).follow())
    boxes.refuse("box1", "me@box1: Permission denied (publickey).")
    with pytest.raises(Refused, match="ssh-copy-id box1"):
        list(RemoteRun("box1", LAST, ENV).follow())
    boxes.refuse("box1", "ssh: Could not resolve hostname box1: Name or service not known")
    with pytest.raises(Unreachable, match="no machine of this name"):
        list(RemoteRun("box1", LAST, ENV).follow())


def test_a_machine_that_does_not_answer_is_unreachable(tmp_path: Path) -> None:
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\nexec sleep 60\n")
    mute.chmod(0o755)
    with pytest.raises(Unreachable, match="has not answered"):
        RemoteShell("box1", {"LABCLI_SSH": str(mute)}, answer_s=0.2)


@pytest.mark.parametrize("host", ["", "-oProxyCommand=touch /tmp/x", "a b"])
def test_a_host_that_ssh_would_take_for_an_option_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="does not name a machine"):
        RemoteShell(host, ENV)


def test_paths_with_quotes_spaces_and_commands_are_only_paths(boxes: Boxes, tmp_path: Path) -> None:
    odd = tmp_path / "a $(touch pwned) `x` 'q\" \\ *"
    run = ended(build_run(LabHome(odd), stages=("base",)).log("base", step(1)))
    assert run.paths.run_dir.is_dir()
    batches = list(RemoteRun("box1", LAST, ENV, home=str(odd)).follow())
    assert steps(batches) == [1]
    with RemoteShell("box1", ENV) as shell, pytest.raises(UsageError, match="line break"):
        shell.names("a\nb")


def test_of_a_long_past_only_the_end_is_read(boxes: Boxes) -> None:
    run = running(boxes)
    run.log("base", *(step(number) for number in range(2, 3000)))
    ended(run)
    numbers = steps(list(RemoteRun("box1", LAST, ENV).follow()))
    assert numbers[-1] == 2999 and len(numbers) < 1000
    assert numbers == list(range(numbers[0], 3000))


def test_silence_is_remarked_once(boxes: Boxes) -> None:
    run = running(boxes)
    clock = itertools.count(0.0, 20.0)
    script = Script(None, None, None, None, lambda: ended(run))
    follower = RemoteRun("box1", LAST, ENV, wait=script, clock=lambda: next(clock))
    assert remarks(list(follower.follow())) == [f"box1: no sign of life from {run.slug} for 30 s"]


def test_alerts_of_the_supervisor_there_are_part_of_what_is_followed(boxes: Boxes) -> None:
    run = running(boxes)
    body = {"code": "spike", "severity": "warning", "message": "up", "stage": "base", "step": 1}
    append_record(run.paths.host, "sample", {"cpu_percent": 1})
    append_record(run.paths.host, "alert", body)
    ended(run)
    (batch,) = RemoteRun("box1", LAST, ENV).follow()
    assert isinstance(batch, list)
    assert [item.record.data["code"] for item in batch if item.record.kind == "alert"] == ["spike"]


def test_runs_are_picked_by_id_prefix_slug_or_age() -> None:
    older, newer = "01M7Z5VPGJ1QAPGX0604A2V08M-base-a", "01M7Z9SFHR8SJ6WCNP1SHMAEY9-base-b"
    names = [older, newer, ".01M7Z5VPGJ1QAPGX0604A2V08Q.tmp", "notes"]
    assert pick_run(names, LAST, where="box") == newer
    assert pick_run(names, "base-a", where="box") == older
    assert pick_run(names, "01m7z5", where="box") == older
    with pytest.raises(UsageError, match="matches 2 runs"):
        pick_run(names, "01M7Z", where="box")
    with pytest.raises(NotFound, match="closest"):
        pick_run(names, "base-c", where="box")


@pytest.mark.parametrize(
    ("word", "target"),
    [
        ("box1:", Target(host="box1", run=LAST)),
        ("me@box2:base-a", Target(host="me@box2", run="base-a")),
        ("local", Target(host=None, run=LAST)),
        ("local:base-a", Target(host=None, run="base-a")),
        ("base-a", Target(host=None, run="base-a")),
    ],
)
def test_targets_name_a_machine_and_a_run(word: str, target: Target) -> None:
    assert parse_target(word) == target


def test_several_machines_and_this_one_are_one_stream(
    home: LabHome, boxes: Boxes, labcli: Labcli
) -> None:
    here = build_finished_run(home)
    there = ended(running(boxes).log("base", checkpoint("base", 1), End(reason="finished")))
    shown = labcli("runs", "tail", "box1:", "local", "box3:", "-n", "50")
    assert f"box1:{there.slug} " in shown.out and f"local:{here.slug} " in shown.out
    assert "there are no runs in box3:" in shown.err
    assert shown.code == 3
    lines = labcli("runs", "tail", "box1:", "--json").out.splitlines()
    assert {json.loads(line)["machine"] for line in lines} == {"box1"}
