"""The dashboard as a person meets it: real run directories, real keys, the text on the screen."""

from __future__ import annotations

import math
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from runs.events import Alert, End
from runs.log import read_log
from tests.tui.builders import build_lab, build_run, finish_until, running_run, step, training
from tests.tui.frames import dashboard, frame, lab_app, settled, until, until_text
from tui.screens.modal import ConfirmScreen, HelpScreen
from tui.shell.glyphs import ASCII, UNICODE
from tui.widgets.chart import Chart
from tui.widgets.runs_table import RunsTable
from tui.widgets.stage_track import StageTrack

NUM_STEPS = 300
STATES = UNICODE.states


async def test_an_empty_lab_home_tells_what_to_type_and_shows_the_first_run(tmp_path: Path) -> None:
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_text(pilot, app, "labcli run speedrun")
        build_run(tmp_path, t=time.time(), name="first")
        await until_text(pilot, app, "queued")
        await settled(pilot, app)
        assert any("first" in line for line in frame(app))


async def test_80_by_24_shows_states_stages_and_four_charts_without_cut_labels(
    tmp_path: Path,
) -> None:
    build_lab(tmp_path, now=time.time(), num_steps=NUM_STEPS)
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        lines = frame(app)
    assert (
        lines[1]
        == "    state            run               stage      done    ETA    bpb  tok/s  MFU"
    )
    starts = [line[1:36].split() for line in lines[2:7]]
    assert starts == [
        [STATES["queued"], "queued", "night-shift"],
        [UNICODE.cursor, STATES["running"], "running", f"{UNICODE.alert}1", "amber-fox"],
        [STATES["failed"], "failed", f"{UNICODE.alert}1", "hot-lr"],
        [STATES["killed"], "killed", "wide-batch"],
        [STATES["finished"], "finished", "first-light"],
    ]
    text = "\n".join(lines)
    for title in ("[1 charts]", "loss  ", "val bpb", "tokens/s", "MFU (CPU probe)"):
        assert title in text
    track = [line[1:24].split() for line in lines[8:19]]
    assert track[0] == [STATES["finished"], "data", "finished"]
    assert track[2] == [UNICODE.cursor, STATES["running"], "base", "running"]
    assert track[5] == [STATES["pending"], "eval-base", "pending"]
    assert "186/300" in text
    assert UNICODE.ellipsis not in "\n".join(lines[1:])
    assert max(map(len, lines)) <= 80


async def test_200_by_50_shows_charts_log_recipe_and_tags_at_once(tmp_path: Path) -> None:
    build_lab(tmp_path, now=time.time(), num_steps=NUM_STEPS)
    app = lab_app(tmp_path)
    async with app.run_test(size=(200, 50)) as pilot:
        await settled(pilot, app)
        await until_text(pilot, app, "step 100: saved 46.1 MiB")
        text = "\n".join(frame(app))
    for expected in ("speedrun/cpu", "d4 cpu", "loss  ", "MFU (CPU probe)", "[2 log]", "1 NaN"):
        assert expected in text
    assert "warning loss-spike" in text


async def test_a_step_reaches_the_screen_while_the_run_goes_on(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=time.time(), name="live", stages=("base",)).supervised()
    with run.attempt("base") as log:
        log.append(step(1, loss=8.125))
        app = lab_app(tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until_text(pilot, app, "loss  8.125")
            log.append(step(2, loss=7.375))
            await until_text(pilot, app, "loss  7.375")
            log.append(step(3, loss=math.nan))
            await until_text(pilot, app, "1 NaN")


async def test_enter_focuses_the_run_under_the_cursor(tmp_path: Path) -> None:
    lab = build_lab(tmp_path, now=time.time(), num_steps=NUM_STEPS)
    app = lab_app(tmp_path, focus=lab["finished"].run_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        assert f"{UNICODE.cursor} first-light  {STATES['finished']} finished" in frame(app)[7]
        await pilot.press("up", "up", "enter")
        await until_text(pilot, app, f"{UNICODE.cursor} hot-lr  {STATES['failed']} failed")
        await until_text(pilot, app, "loss is NaN at step 334")


async def test_brackets_choose_the_stage_and_home_follows_again(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=time.time() - 400, name="done", num_steps=60).supervised()
    finish_until(run, "report", num_steps=60).ended("finished")
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        track = app.screen.query_one(StageTrack)
        assert track.selected == "sft"
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, lambda: track.selected == "mid")
        track.focus()
        await pilot.press("up", "up")
        await until(pilot, lambda: track.selected == "base")
        await pilot.press("home")
        await until(pilot, lambda: track.selected == "sft")


async def test_panes_switch_by_number_and_show_what_they_promise(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=time.time() - 60, name="talker", stages=("base",)).supervised()
    with run.attempt("base") as log:
        training(log, run.clock, "base", 1, 400, total=400)
        run.print_log("base", "compiled in 3 s")
        app = lab_app(tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot, app)
            await pilot.press("2")
            await until_text(pilot, app, "compiled in 3 s")
            await pilot.press("3")
            await until_text(pilot, app, f"The module provides {UNICODE.arrow} access")
            await pilot.press("4")
            await until_text(pilot, app, ":base@400")
            await pilot.press("1")
            await until_text(pilot, app, "tokens/s")


async def test_zoom_gives_one_chart_all_the_room_and_log_scale_says_so(tmp_path: Path) -> None:
    running_run(tmp_path, now=time.time(), num_steps=NUM_STEPS)
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        speed = app.screen.query_one("#chart-tok_per_sec", Chart)
        speed.focus()
        await pilot.press("z", "y")
        await until(pilot, lambda: not app.screen.query_one("#chart-loss").display)
        assert speed.size.height > 14
        await until_text(pilot, app, "log")


async def test_stop_asks_first_and_writes_a_request(tmp_path: Path) -> None:
    run = running_run(tmp_path, now=time.time(), num_steps=NUM_STEPS)
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await until_text(pilot, app, "Stop amber-fox?")
        await pilot.press("escape")
        await settled(pilot, app)
        assert read_log(run.paths.requests) == []
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("enter")
        await until(pilot, lambda: bool(read_log(run.paths.requests)))
        assert [record.kind for record in read_log(run.paths.requests)] == ["stop"]


async def test_what_the_run_cannot_do_is_refused_without_a_dialog(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=time.time() - 60, name="done", stages=("data",)).supervised()
    run.stage("data", [])
    run.ended("finished")
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        await pilot.press("s", "r")
        await settled(pilot, app)
        assert read_log(run.paths.requests) == []


async def test_a_resume_that_fails_is_told_not_raised(tmp_path: Path, bystander: int) -> None:
    run = build_run(tmp_path, t=time.time() - 60, name="held", stages=("base",))
    run.pid = bystander
    run.supervised()
    with run.attempt("base") as log:
        log.append(End(reason="stopped"))
    run.exited("base")
    run.ended("stopped")
    os.kill(bystander, signal.SIGKILL)
    (run.run_dir / "logs").write_text("a file where a directory should be")
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot, app)
        await pilot.press("r")
        await until_text(pilot, app, "Resuming held")
        await until_text(pilot, app, "exists")


async def test_an_unreadable_run_says_what_is_wrong_in_its_place(tmp_path: Path) -> None:
    build_run(tmp_path, t=time.time() - 60, name="fine")
    broken = build_run(tmp_path, t=time.time(), name="broken", seed=9)
    broken.paths.run_json.write_text("{ torn")
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        text = "\n".join(frame(app))
        assert f"{STATES['unreadable']} unreadable" in text
        assert "is not valid JSON" in text
        assert "cannot be shown" in text
        await pilot.press("down", "enter")
        await until_text(pilot, app, f"{UNICODE.cursor} fine  {STATES['queued']} queued")


async def test_a_removed_run_gives_way_to_another(tmp_path: Path) -> None:
    kept = build_run(tmp_path, t=time.time() - 60, name="kept")
    gone = build_run(tmp_path, t=time.time(), name="gone", seed=9)
    app = lab_app(tmp_path, focus=gone.run_dir)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot, app)
        shutil.rmtree(gone.run_dir)
        await until_text(pilot, app, f"{UNICODE.cursor} kept")
        await until_text(pilot, app, "gone is gone")
        shutil.rmtree(kept.run_dir)
        await until_text(pilot, app, "labcli run speedrun")


async def test_f1_explains_the_focused_widget_and_every_key_has_words(tmp_path: Path) -> None:
    build_run(tmp_path, t=time.time(), name="one")
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 40)) as pilot:
        await settled(pilot, app)
        app.screen.query_one(RunsTable).focus()
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await until_text(pilot, app, "The runs of this lab home")
        await until_text(pilot, app, "Stop the run after a checkpoint.")
        await pilot.press("escape")
        await settled(pilot, app)
        ours = [item.binding for item in app.screen.active_bindings.values() if item.binding.id]
        assert len(ours) >= 12
        assert all(binding.description and binding.tooltip for binding in ours)


async def test_every_action_is_in_the_command_palette(tmp_path: Path) -> None:
    running_run(tmp_path, now=time.time(), num_steps=40)
    app = lab_app(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        helps = {command.help for command in app.get_system_commands(app.screen)}
        for key in ("s", "left_square_bracket", "right_square_bracket", "1", "4", "y", "z", "f1"):
            assert f"Key: {key}" in helps
        palette = {
            command.title: command.callback for command in app.get_system_commands(app.screen)
        }
        await palette["Show the log of the run"]()
        await until_text(pilot, app, "[2 log]")


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_ascii_mode_draws_nothing_outside_ascii(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    build_lab(tmp_path, now=time.time(), num_steps=NUM_STEPS)
    app = lab_app(tmp_path, glyphs=ASCII)
    async with app.run_test(size=size) as pilot:
        await settled(pilot, app)
        lines = frame(app)
        assert "\n".join(lines).isascii()
        await pilot.press("f1")
        await until_text(pilot, app, "The runs of this lab home")
        assert "\n".join(frame(app)).isascii()


@pytest.mark.parametrize("size", [(20, 6), (40, 12), (60, 15), (300, 100)])
async def test_no_terminal_size_breaks_the_app(tmp_path: Path, size: tuple[int, int]) -> None:
    running_run(tmp_path, now=time.time(), num_steps=NUM_STEPS)
    app = lab_app(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot, app)
        for key in ("2", "3", "4", "1", "z", "y"):
            await pilot.press(key)
        await pilot.resize_terminal(80, 24)
        await until_text(pilot, app, "amber-fox")


async def test_a_log_follows_its_end_until_someone_scrolls_up(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=time.time(), name="chatty", stages=("base",)).supervised()
    with run.attempt("base") as log:
        for n in range(60):
            log.append(Alert(code="n", severity="info", message=f"line {n}"))
        app = lab_app(tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot, app)
            await pilot.press("2")
            await until_text(pilot, app, "line 59")
            app.screen.query_one("#log").focus()
            await pilot.press("home")
            await until_text(pilot, app, "attempt 1 started")
            log.append(Alert(code="n", severity="info", message="line 60"))
            pane = dashboard(app).query_one("#log")
            await until(pilot, lambda: pane.virtual_size.height >= 62)
            assert not any("line 60" in line for line in frame(app))
            await pilot.press("end")
            await until_text(pilot, app, "line 60")
