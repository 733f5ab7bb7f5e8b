"""Reading event logs and worker logs by offset."""

from __future__ import annotations

from pathlib import Path

import pytest

from runs.events import EventLog, Heartbeat
from runs.log import append_record
from runs.paths import RunPaths
from tests.tui.builders import Ticker, build_run, start, step
from tui.live.feed import LogTail, RunFeed, plain_line
from tui.live.focus import FocusedRun
from tui.live.state import LiveView, apply


def test_a_poll_returns_only_what_is_new(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=1_000.0)
    feed = RunFeed(run.run_dir, ("base",))
    assert feed.poll() == []
    with EventLog(run.paths.events("base", 1)) as log:
        log.append(start("base", 1))
        assert [item.record.kind for item in feed.poll()] == ["start"]
        assert feed.poll() == []
        log.append(step(1))
        assert [item.record.kind for item in feed.poll()] == ["step"]


def test_a_bounded_poll_reads_attempts_in_order_and_in_the_end_everything(tmp_path: Path) -> None:
    paths = build_run(tmp_path, t=1_000.0).paths
    for attempt, resumed_from in ((1, None), (2, 20), (10, 30)):
        with EventLog(paths.events("base", attempt)) as log:
            log.append(start("base", attempt, resumed_from))
            for n in range((resumed_from or 0) + 1, (resumed_from or 0) + 31):
                log.append(step(n, loss=float(attempt)))
    feed = RunFeed(paths.run_dir, ("base",))
    view = LiveView()
    num_polls = 0
    while batch := feed.poll(max_bytes=5_000):
        view = apply(view, batch)
        num_polls += 1
    loss = view.stage("base").curve("loss")
    assert num_polls > 2
    assert loss.x.tolist() == [float(n) for n in range(1, 61)]
    assert loss.y.tolist() == [1.0] * 20 + [2.0] * 10 + [10.0] * 30


@pytest.mark.parametrize("max_bytes", [2_000, 1_000_000])
def test_alerts_of_the_machine_stand_among_the_events_of_their_time(
    tmp_path: Path, max_bytes: int
) -> None:
    run = build_run(tmp_path, t=1_000.0)
    for stage in ("base", "mid"):
        with run.attempt(stage) as log:
            for number in range(1, 31):
                run.clock.t += 1.0
                log.append(step(number))
    for t in (1_010.5, 1_040.5, 1_099.0):
        alert = {"code": "mfu-drop", "severity": "warning", "message": "slow"}
        append_record(run.paths.host, "alert", alert, clock=Ticker(t))
    feed, told = RunFeed(run.run_dir, ("base", "mid")), []
    while batch := feed.poll(max_bytes=max_bytes):
        told += [(item.record.t, item.record.kind) for item in batch]
    assert [kind for _, kind in told].count("alert") == 3
    assert [t for t, _ in told] == sorted(t for t, _ in told)


def test_a_torn_last_line_waits_for_its_end(tmp_path: Path) -> None:
    path = RunPaths(tmp_path).events("base", 1)
    path.parent.mkdir(parents=True)
    line = b'{"v":1,"seq":0,"t":1.0,"kind":"heartbeat"}\n'
    path.write_bytes(line + line[:20])
    feed = RunFeed(tmp_path)
    assert len(feed.poll()) == 1
    path.write_bytes(line + line)
    assert len(feed.poll()) == 1


def test_foreign_files_and_lines_are_counted_not_fatal(tmp_path: Path) -> None:
    events = RunPaths(tmp_path).events_dir
    events.mkdir()
    (events / "notes.txt").write_text("hello")
    (events / "base.a1.r0.jsonl").write_bytes(b'\xff\xfe\n{"v":9}\nnot json\n')
    feed = RunFeed(tmp_path)
    assert feed.poll() == []
    assert feed.num_malformed == 3


def test_a_run_directory_that_vanishes_yields_nothing(tmp_path: Path) -> None:
    paths = build_run(tmp_path, t=1_000.0).paths
    with EventLog(paths.events("base", 1)) as log:
        log.append(Heartbeat())
    feed = RunFeed(paths.run_dir)
    assert len(feed.poll()) == 1
    paths.run_dir.rename(tmp_path / "elsewhere")
    assert feed.poll() == []


def test_a_log_shows_lines_as_a_terminal_would_leave_them(tmp_path: Path) -> None:
    path = tmp_path / "a1.log"
    path.write_bytes(b"\x1b[31mred\x1b[0m\n  10%\r 100% done\nhalf")
    tail = LogTail(path)
    assert tail.read() == ["red", " 100% done"]
    with path.open("ab") as stream:
        stream.write(b" a line\n")
    assert tail.read() == ["half a line"]


def test_a_long_log_is_read_from_a_bounded_backlog(tmp_path: Path) -> None:
    path = tmp_path / "a1.log"
    path.write_text("".join(f"line {n:06d}\n" for n in range(20_000)))
    lines = LogTail(path).read(max_bytes=1_200)
    assert len(lines) == 100
    assert lines[-1] == "line 019999"


def test_control_characters_never_reach_the_screen() -> None:
    assert plain_line("a\x1b]0;title\x07b\tc\x00") == "ab  c"


def test_the_log_pane_has_the_story_first_and_then_what_was_printed(tmp_path: Path) -> None:
    from runs.views.query import load_run

    run = build_run(tmp_path, t=1_000.0, stages=("base",))
    with run.attempt("base"):
        run.print_log("base", "warning: something")
    focused = FocusedRun(load_run(run.run_dir))
    focused.drain(lambda: False)
    focused.advance()
    texts = [line.text for line in focused.log_lines]
    assert texts[0].endswith("base      attempt 1 started on cpu, 1 rank")
    assert texts[1:] == ["logs/base/a1.log", "warning: something"]
