"""`runs tail` and `runs logs`: what was written, then what is being written."""

from __future__ import annotations

import json

from labcli.following.tailing import follow_events, follow_log
from runs.events import End, EventLog, Heartbeat, Note
from runs.paths import LabHome
from tests.builders import RunBuilder, build_finished_run, build_run, step
from tests.cli.conftest import Labcli


def append(run: RunBuilder, *events: Note | End) -> None:
    """Write more events to the log of stage base."""
    with EventLog(run.paths.events("base", 1), clock=run.clock) as log:
        for event in events:
            log.append(event)


def write_log(run: RunBuilder, num_lines: int) -> None:
    """Write the log of stage base."""
    path = run.paths.worker_log("base", 1)
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"line {index}\n" for index in range(num_lines)))


def test_tail_of_an_ended_run_prints_the_last_events(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home)
    lines = labcli("runs", "tail", "last", "-n", "2").out.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "report artifact report at artifacts/report/report.md (4.0 KiB)",
        "report end finished",
    ]


def test_tail_leaves_out_heartbeats(labcli: Labcli, home: LabHome) -> None:
    build_run(home, stages=["base"]).log("base", Heartbeat(), Heartbeat(), End(reason="stopped"))
    lines = labcli("runs", "tail", "last").out.splitlines()
    assert [line.split()[2] for line in lines] == ["start", "end"]


def test_tail_json_is_one_event_per_line(labcli: Labcli, home: LabHome) -> None:
    build_finished_run(home)
    lines = labcli("runs", "tail", "last", "-n", "3", "--json").out.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["kind"] for event in events] == ["start", "artifact", "end"]
    assert {event["stage"] for event in events} == {"report"}


def test_tail_follows_until_the_run_ends(home: LabHome) -> None:
    run = build_run(home, stages=["base"]).run_now("base", step(1))
    items = follow_events(
        run.paths.run_dir,
        num_past=1,
        wait=lambda _: append(run, Note(message="new"), End(reason="finished")),
    )
    assert [item.record.kind for item in items] == ["step", "note", "end"]


def test_logs_print_the_last_lines(labcli: Labcli, home: LabHome) -> None:
    run = build_run(home, stages=["base"]).finish("base")
    write_log(run, 200)
    assert labcli("runs", "logs", "last", "-n", "2").out == "line 198\nline 199\n"
    assert len(labcli("runs", "logs", "last", "--stage", "base").out.splitlines()) == 100


def test_logs_of_the_supervisor_are_a_stage_of_their_own(labcli: Labcli, home: LabHome) -> None:
    run = build_run(home, stages=["base"]).finish("base")
    run.paths.supervisor_log.parent.mkdir()
    run.paths.supervisor_log.write_text("hello\n")
    assert labcli("runs", "logs", "last", "--stage", "supervisor").out == "hello\n"


def test_logs_follow_until_the_run_ends(home: LabHome) -> None:
    run = build_run(home, stages=["base"]).run_now("base", step(1))
    write_log(run, 1)
    path = run.paths.worker_log("base", 1)

    def write_more(_: float) -> None:
        with path.open("a") as stream:
            stream.write("more\n")
        append(run, End(reason="finished"))

    lines = follow_log(run.paths.run_dir, path, num_past=5, should_follow=True, wait=write_more)
    assert list(lines) == ["line 0", "more"]
