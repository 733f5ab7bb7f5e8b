"""An attached run: what ends the watching, and what an interrupt means."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from labcli import diagnostics
from labcli.following.attached import closing_lines, exit_code
from labcli.following.watch import Watch, Watched
from runs.errors import ExitCode
from runs.events import End, EventLog
from runs.log import append_record, read_log
from runs.paths import LabHome
from runs.supervision.process import boot_key
from runs.views.query import load_run
from tests.builders import RunBuilder, build_finished_run, build_run, step

Wait = Callable[[float], None]


def when_waiting(*actions: Callable[[], None]) -> Wait:
    """Return a pause that does the next action instead of waiting."""
    left: Iterator[Callable[[], None]] = iter(actions)
    return lambda _: next(left)()


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def running(home: LabHome) -> RunBuilder:
    return build_run(home, stages=["base"]).run_now("base", step(1))


def finish(run: RunBuilder) -> Callable[[], None]:
    """Return an action that ends the run's only stage."""

    def act() -> None:
        with EventLog(run.paths.events("base", 1), clock=run.clock) as log:
            log.append(End(reason="finished"))

    return act


def answers(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Put a person who gives `answer` in front of the terminal."""
    monkeypatch.setattr(diagnostics, "is_terminal", lambda: True)
    monkeypatch.setattr(diagnostics, "ask", lambda question: answer)


def ticks() -> Callable[[], float]:
    """Return a clock on which every look is due."""
    return iter(range(0, 10_000, 10)).__next__


def test_watching_ends_with_the_run(
    running: RunBuilder, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(running.paths.run_dir, wait=when_waiting(finish(running)), clock=ticks())
    watched = watch.until_end()
    assert (watched.view.state, watched.is_detached) == ("finished", False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[0] == "base: started on cpu"
    assert "base: finished after" in captured.err


def test_problem_of_a_run_that_goes_on_is_said_once(
    running: RunBuilder, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose_supervisor() -> None:
        append_record(
            running.paths.control, "supervisor", {"pid": 1, "start": 1, "boot": boot_key()}
        )

    wait = when_waiting(lose_supervisor, lambda: None, finish(running))
    Watch(running.paths.run_dir, wait=wait, clock=ticks()).until_end()
    said = [line for line in capsys.readouterr().err.splitlines() if "supervisor is gone" in line]
    assert len(said) == 1 and "labcli runs adopt" in said[0]


def test_past_events_are_left_out_of_a_resumed_watch(
    running: RunBuilder, capsys: pytest.CaptureFixture[str]
) -> None:
    wait = when_waiting(finish(running))
    Watch(running.paths.run_dir, skip_past=True, wait=wait, clock=ticks()).until_end()
    assert "started" not in capsys.readouterr().err


def test_interrupt_without_a_terminal_detaches(running: RunBuilder) -> None:
    watched = Watch(running.paths.run_dir, wait=when_waiting(interrupt)).until_end()
    assert watched.is_detached
    assert load_run(running.paths.run_dir).state == "running"


def test_person_may_detach(running: RunBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "d")
    assert Watch(running.paths.run_dir, wait=when_waiting(interrupt)).until_end().is_detached


@pytest.mark.parametrize("answer", ["", "k", "what?"])
def test_person_may_keep_watching(
    running: RunBuilder, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    answers(monkeypatch, answer)
    wait = when_waiting(interrupt, finish(running))
    watched = Watch(running.paths.run_dir, wait=wait, clock=ticks()).until_end()
    assert not watched.is_detached


def test_person_may_stop_the_run(running: RunBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "s")
    wait = when_waiting(interrupt, finish(running))
    Watch(running.paths.run_dir, wait=wait, clock=ticks()).until_end()
    assert [record.kind for record in read_log(running.paths.requests)] == ["stop"]


def test_finished_run_is_summed_up_with_what_to_type_next(home: LabHome) -> None:
    view = load_run(build_finished_run(home).paths.run_dir)
    text = "\n".join(closing_lines(Watched(view=view)))
    assert exit_code(Watched(view=view)) == ExitCode.OK
    assert "METRIC" in text
    assert 'labcli chat -p "What is 27 * 14?"' in text
    assert f"labcli runs show {view.slug}" in text


def test_failed_run_names_its_log_and_how_to_go_on(home: LabHome) -> None:
    run = build_run(home, stages=["base"]).log("base", End(reason="failed"))
    watched = Watched(view=load_run(run.paths.run_dir))
    text = "\n".join(closing_lines(watched))
    assert exit_code(watched) == ExitCode.FAILED
    assert "log: " in text
    assert f"labcli runs resume {run.slug}" in text


def test_stopped_run_is_an_interrupted_command(home: LabHome) -> None:
    run = build_run(home, stages=["base"]).log("base", End(reason="stopped"))
    assert exit_code(Watched(view=load_run(run.paths.run_dir))) == ExitCode.INTERRUPTED
