"""How numbers are written, and which stage a run shows by itself."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.events import EventLog
from runs.paths import RunPaths
from runs.views.query import load_run
from runs.views.run_view import RunView, StageView
from tests.tui.builders import build_run, finish_until, running_run, step
from tui.live import present
from tui.live.focus import FocusedRun
from tui.shell import format as fmt
from tui.shell.environment import read_environment
from tui.shell.glyphs import ASCII, UNICODE


def test_the_environment_decides_on_glyphs_and_frame_rate() -> None:
    assert read_environment({}, "UTF-8").glyphs is UNICODE
    assert read_environment({"LABCLI_ASCII": "1"}, "utf-8").glyphs is ASCII
    assert read_environment({}, "ANSI_X3.4-1968").glyphs is ASCII
    assert read_environment({}, "latin-1").glyphs is ASCII
    ssh = read_environment({"SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}, "utf8")
    assert (read_environment({}, "utf8").frames_per_s, ssh.frames_per_s) == (10.0, 4.0)


def test_both_sets_of_glyphs_name_the_same_states_with_distinct_single_characters() -> None:
    for glyphs in (UNICODE, ASCII):
        assert all(len(glyph) == 1 for glyph in glyphs.states.values())
        assert len(set(glyphs.states.values())) == len(glyphs.states)
    assert UNICODE.states.keys() == ASCII.states.keys()
    assert "".join(ASCII.states.values()).isascii()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.4s"), (59.4, "59s"), (59.6, "1m00s"), (3599.7, "1h00m"), (356_400, "4d03h")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert fmt.duration(seconds) == text


@given(st.floats(0, 1e17))
def test_counts_take_at_most_five_characters(value: float) -> None:
    assert len(fmt.compact(value)) <= 5


@given(st.floats(0, 86_400 * 99))
def test_durations_take_at_most_six_characters(seconds: float) -> None:
    assert len(fmt.duration(seconds)) <= 6


def test_a_stage_that_has_done_nothing_yet_says_what_it_is_at() -> None:
    building = StageView(
        stage="base", state="running", done=0.0, total=360.0, unit="steps", label="building kernels"
    )
    assert present.stage_count(building, 40) == "building kernels"
    assert present.stage_count(replace(building, done=1.0, label=""), 40) == "1/360 steps"


def focused_on(run: RunView) -> FocusedRun:
    """Return a run with all its events read."""
    focused = FocusedRun(run)
    focused.drain(lambda: False)
    return focused


def test_an_evaluation_shows_the_curves_of_the_model_it_measured(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=1_000.0, num_steps=20)
    finish_until(run, "base", num_steps=20)
    with run.attempt("eval-base"):
        pass
    focused = focused_on(load_run(run.run_dir))
    assert focused.run.stage == "eval-base"
    assert focused.stage == "base"


def test_a_picked_stage_stays_until_it_is_let_go(tmp_path: Path) -> None:
    run = build_run(tmp_path, t=1_000.0, num_steps=20)
    finish_until(run, "mid", num_steps=20)
    focused = focused_on(load_run(run.run_dir))
    assert focused.stage == "mid"
    focused.step_stage(-1)
    focused.step_stage(-1)
    assert focused.stage == "base"
    focused.picked = None
    assert focused.stage == "mid"


def test_steps_that_the_listing_has_not_seen_yet_are_counted(tmp_path: Path) -> None:
    run = running_run(tmp_path, now=time.time(), num_steps=40)
    focused = focused_on(load_run(run.run_dir))
    listed = next(stage for stage in focused.run.stages if stage.stage == "base")
    assert focused.run_now is focused.run
    with EventLog(RunPaths(run.run_dir).events("base", listed.attempt)) as log:
        log.append(step(31, 50))
    focused.advance()
    stage = next(stage for stage in focused.run_now.stages if stage.stage == "base")
    assert (stage.step, stage.done, stage.total) == (31, 31.0, 50.0)
    ended = replace(listed, state="finished")
    focused.run = replace(focused.run, stages=(ended,))
    assert focused.run_now is focused.run
