"""The page of one run as a person meets it: real run directories, real keys, text on the screen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from textual.pilot import Pilot

from runs.events import EventLog, Heartbeat
from runs.paths import LabHome, RunPaths
from runs.views.query import load_run
from tests.tui.builders import RunBuilder, build_run, finish_until, start, step, training
from tests.tui.compared import compared_run
from tests.tui.frames import dashboard, frame, lab_app, settled, until, until_text
from tui.analysis.event_times import EventTimes, rank_paces, waterfall
from tui.analysis.run_reader import RunReader
from tui.analysis.run_times import times
from tui.app import LabApp
from tui.screens.run import RunScreen
from tui.shell.environment import Environment
from tui.shell.glyphs import ASCII, UNICODE

NUM_STEPS = 60


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunBuilder:
    """A finished run with every stage, which no test changes."""
    root = tmp_path_factory.mktemp("lab")
    run = build_run(root, t=time.time() - 4000, name="first-light", num_steps=NUM_STEPS)
    finish_until(run.supervised(), "report", num_steps=200).ended("finished")
    return run


async def opened(pilot: Pilot[None], app: LabApp, run_dir: Path) -> RunScreen:
    """Open the page of a run over the dashboard, and wait until it is read."""
    environment = Environment(glyphs=UNICODE, frames_per_s=50.0)
    screen = RunScreen(home=LabHome(run_dir.parent.parent), environment=environment, run=run_dir)
    app.push_screen(screen)
    await until(pilot, lambda: screen.is_attached and screen.is_settled)
    return screen


async def section(pilot: Pilot[None], screen: RunScreen, key: str) -> None:
    """Press the key of a section, and wait until it is read."""
    await pilot.press(key)
    await until(pilot, lambda: screen.is_settled)
    await pilot.pause()


async def test_every_section_of_a_finished_run_is_one_key_away_at_80_by_24(
    finished: RunBuilder,
) -> None:
    app = lab_app(finished.paths.home.root)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app, finished.run_dir)
        promised = {
            "1": ("state", "finished", "supervisor", "eval-base", "600", "sft"),
            "2": ("every setting is the default", "changed from speedrun, preset cpu"),
            "3": ("commit", "working tree", "packages", "hostname"),
            "4": ("checkpoint@200", "data"),
            "5": (":base@100", "best, removed", "46.1 MiB"),
            "6": ("arithmetic", "chance", "95 % interval", "base: validation bits per byte"),
            "7": (
                "steps",
                "first step",
                "every stage had one rank",
                "do not say what forward-backward",
            ),
            "8": ("all but steps", "checkpoint", "saved 46.1 MiB"),
            "9": ("events/", "run.json", "control.jsonl"),
        }
        for key, words in promised.items():
            if key != "1":
                await section(pilot, screen, key)
            await pilot.press("pagedown") if key in "17" else None
            await pilot.press("pageup") if key in "17" else None
            shown = "\n".join("".join(p.text for p in row.line.pieces) for row in screen.table.rows)
            lines = frame(app)
            assert f"[{key} " in lines[1], lines[1]
            assert max(map(len, lines)) <= 80
            missing = [word for word in words if word not in shown and word != "600"]
            assert not missing, (key, missing, shown)


async def test_what_a_row_stands_for_is_copied_kept_in_a_file_and_shown_in_full(
    finished: RunBuilder,
) -> None:
    app = lab_app(finished.paths.home.root)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.is_settled)
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await section(pilot, screen, "5")
        await pilot.press("down", "y")
        reference = f"{finished.paths.run_dir.name[27:]}:base@200"
        await until(pilot, lambda: app.clipboard == reference)
        kept = finished.paths.home.root / "clipboard.txt"
        assert kept.read_text() == reference
        await pilot.press("enter")
        await until_text(pilot, app, f"labcli chat --model {reference}")
        await pilot.press("escape")
        await section(pilot, screen, "8")
        await pilot.press("k")
        await until_text(pilot, app, "every kind")
        await pilot.press("end", "enter")
        await until_text(pilot, app, '"kind": ')
        await pilot.press("escape", "f")
        await until(pilot, lambda: dashboard(app).is_current)
        assert any(f"{UNICODE.cursor} first-light" in line for line in frame(app))


async def test_a_tag_and_a_note_are_written_and_shown_and_a_live_run_refreshes(
    tmp_path: Path, bystander: int
) -> None:
    run = build_run(tmp_path, t=time.time(), name="live", stages=("base",))
    run.pid = bystander
    run.supervised()
    app = lab_app(tmp_path)
    with run.attempt("base") as log:
        log.append(step(1, loss=8.0))
        async with app.run_test(size=(200, 50)) as pilot:
            await opened(pilot, app, run.run_dir)
            await until_text(pilot, app, "1/2,000 steps")
            log.append(step(7, loss=7.0))
            await until_text(pilot, app, "7/2,000 steps")
            await pilot.press("t")
            await until_text(pilot, app, "Tag this run")
            await pilot.press(*"two words", "enter")
            await until_text(pilot, app, "cannot be a tag")
            await pilot.press(*["backspace"] * 6, "enter")
            await until(pilot, lambda: load_run(run.run_dir).tags == ("two",))
            await pilot.press("w")
            await until_text(pilot, app, "A note about this run")
            await pilot.press(*"watch it", "enter")
            await until_text(pilot, app, "watch it")
            os.kill(bystander, signal.SIGKILL)
            await until_text(pilot, app, "crashed")
            await until_text(pilot, app, "is gone")


async def test_a_run_that_cannot_be_read_says_why_in_place(tmp_path: Path) -> None:
    broken = build_run(tmp_path, t=time.time() - 9, name="broken", stages=("base",))
    broken.paths.run_json.write_text("{")
    gone = build_run(tmp_path, t=time.time() - 8, name="gone", stages=("base",), seed=3)
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app, broken.run_dir)
        await until_text(pilot, app, "unreadable")
        for key, told in (("2", "run.json cannot be read"), ("4", "cannot read lineage")):
            await section(pilot, screen, key)
            await until_text(pilot, app, told)
        await pilot.press("escape")
        screen = await opened(pilot, app, gone.run_dir)
        shutil.rmtree(gone.run_dir)
        await until_text(pilot, app, "unreadable")


async def test_changed_settings_come_first_with_their_default_and_help(tmp_path: Path) -> None:
    run = compared_run(tmp_path, name="deep", t=time.time() - 100, depth=6)
    app = lab_app(tmp_path, glyphs=ASCII)
    async with app.run_test(size=(200, 50)) as pilot:
        screen = await opened(pilot, app, run.run_dir)
        await section(pilot, screen, "2")
        rows = [row for row in screen.table.rows if row.key]
        assert [row.key for row in rows[:2]] == ["base.depth", "base.num_iterations"]
        assert "default 4" in "".join(piece.text for piece in rows[0].line.pieces)
        await until_text(pilot, app, "--set base.depth=6")


def test_a_waterfall_counts_each_stretch_for_what_it_ended_with_and_goes_on_where_it_was(
    tmp_path: Path,
) -> None:
    run = build_run(tmp_path, t=1000.0, name="timed", stages=("base",))
    path = run.paths.events("base", 1)
    times = EventTimes(path)
    with run.attempt("base") as log:
        run.clock.t += 5
        log.append(step(1))
        training(log, run.clock, "base", 2, 50, step_s=1.0)
        times.advance()
        read = times.offset
        run.clock.t += 1
        log.append(Heartbeat())
        training(log, run.clock, "base", 51, 60, step_s=1.0)
    times.advance()
    assert times.offset > read > 0
    file = RunReader(run.paths.home, run.run_dir).read("time")
    assert file is not None
    phases = {phase.phase: phase for phase in waterfall(file.times, "base")}
    assert phases["first step"].seconds == pytest.approx(5.0)
    assert phases["steps"].seconds == pytest.approx(60.0)
    assert sum(phase.share for phase in phases.values()) == pytest.approx(1.0)
    assert not rank_paces(file.times, "base")


def test_a_waterfall_divides_the_steps_by_the_parts_that_they_measured(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=1000.0, name="measured", stages=("base",))
    with run.attempt("base") as log:
        for number in range(1, 12):
            run.clock.t += 30.0 if number == 1 else 1.0
            told = step(
                number, time_data_s=0.125, time_forward_backward_s=0.5, time_optimizer_s=0.25,
                time_save_s=9.0, eta_s=60.0,
            )  # fmt: skip
            log.append(told)
    page = RunReader(run.paths.home, run.run_dir).read("time")
    assert page is not None
    seconds = {phase.phase: phase.seconds for phase in waterfall(page.times, "base")}
    assert seconds["first step"] == pytest.approx(30.0)
    assert (seconds["data"], seconds["forward-backward"], seconds["optimizer"]) == (1.25, 5.0, 2.5)
    assert seconds["between steps"] == pytest.approx(1.25)
    assert "steps" not in seconds
    rows = times(page, width=80, glyphs=UNICODE)
    shown = "\n".join("".join(piece.text for piece in row.line.pieces) for row in rows)
    assert "its last step: data 125.0 ms, forward-backward 500.0 ms, optimizer 250.0 ms" in shown


def test_ranks_are_told_apart_by_when_they_began_and_were_last_heard(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=1000.0, name="ranks", stages=("base",))
    for rank, (late_s, beats) in enumerate(((0.0, 9), (2.5, 4))):
        run.clock.t = 1000.0 + late_s
        with EventLog(RunPaths(run.run_dir).events("base", 1, rank), clock=run.clock) as log:
            log.append(start("base", 1))
            for _ in range(beats):
                run.clock.t += 1.0
                log.append(Heartbeat())
    page = RunReader(run.paths.home, run.run_dir).read("time")
    assert page is not None
    slow = rank_paces(page.times, "base")[1]
    assert (slow.late_s, slow.behind_s, slow.num_heartbeats) == (2.5, 2.5, 4)


def test_a_page_is_read_again_only_when_something_was_added(finished: RunBuilder) -> None:
    reader = RunReader(finished.paths.home, finished.run_dir)
    assert reader.read("events") is not None
    assert reader.read("events") is None
    assert reader.read("files") is not None
    events = RunReader(finished.paths.home, finished.run_dir).read("events")
    assert events is not None
    assert json.dumps(dict(events.events[-1].record.data))
