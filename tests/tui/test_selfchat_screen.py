"""The self-chat view: a finished self-chat, a living one, replay, findings, and a new one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from core.experiments.selfchat.archive import STAGE
from core.experiments.selfchat.transcript import Experiment
from runs.events import End
from runs.paths import LabHome
from runs.views.query import list_runs
from tests.cli.talking import trained_run
from tests.selfchat_views.builders import make_experiment, make_tokenizer
from tests.tui.frames import frame
from tests.tui.talks import announced, close, finished_talk, new_talk, taken
from tui.app import LabApp
from tui.screens.arena import ArenaScreen
from tui.screens.selfchat import SelfchatScreen
from tui.screens.selfchat_new import NewSelfchat
from tui.selfchat.curves import plots_of
from tui.selfchat.lists import track_line, versions
from tui.selfchat.replay import Playhead
from tui.selfchat.starting import Wanted, last_words, topics_of
from tui.selfchat.transcript_rows import Script, Spot, moved, row_of
from tui.shell.environment import Environment
from tui.shell.glyphs import ASCII, UNICODE, Glyphs
from tui.views import Opening

# A run of its own starts two processes that load the models' library.
DEADLINE_S = 150.0


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return make_experiment(temperatures=(0.6, 1.0), num_conversations=3, num_turns=4)


def app_on(home: LabHome, *, glyphs: Glyphs = UNICODE, focus: Path | None = None) -> LabApp:
    environment = Environment(glyphs=glyphs, frames_per_s=20.0)
    return LabApp(Opening(home=home, environment=environment, focus=focus), view="selfchat")


def screen_of(app: LabApp) -> SelfchatScreen:
    return next(one for one in app.screen_stack if isinstance(one, SelfchatScreen))


async def until(pilot: Pilot[None], app: LabApp, is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError("\n".join(["not within the deadline:", *frame(app)]))
        await pilot.pause(0.05)


async def opened(pilot: Pilot[None], app: LabApp) -> SelfchatScreen:
    await until(pilot, app, lambda: isinstance(app.screen, SelfchatScreen))
    screen = screen_of(app)
    await until(pilot, app, lambda: screen.viewing.held is not None and screen.is_settled)
    await pilot.pause(0.1)
    return screen


def text_of(app: LabApp) -> str:
    return "\n".join(frame(app))


async def test_a_finished_self_chat_is_read_token_by_token_and_its_findings_stand_beside_it(
    experiment: Experiment, tmp_path: Path
) -> None:
    home = LabHome(tmp_path / "lab")
    finished_talk(home, experiment, name="tides", t=time.time() - 60)
    app = app_on(home)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        text = text_of(app)
        assert "tides" in text and "6 conversations, 24 turns" in text
        # What all settings share is left out of their names.
        assert "T=0.6 s0" in text and "T=0.6 k=50 s0" not in text
        assert "the sea" in text and "The tide comes in twice a day" in text
        await pilot.press("enter", "right", "right")
        first = experiment.conversations[0].turns[0].tokens
        assert f"id {first.ids[1]}" in text_of(app) and "rank 1" in text_of(app)
        assert f"{first.entropy_nats[1]:.2f} nats" in text_of(app)
        await pilot.press("down")
        assert screen.viewing.cursor == Spot(1, 0)
        await pilot.press("escape", "down", "f")
        assert screen.viewing.talk is not None and screen.viewing.talk.number == 1
        assert len(screen.viewing.listed) == 3 and "only T=0.6" in text_of(app)
        await pilot.press("2")
        text = text_of(app)
        assert "Verdicts" in text and "T=0.6 k=50" in text
        await pilot.press("end")
        assert "self bleu" in text_of(app)
        await pilot.press("3")
        text = text_of(app)
        assert "entropy (bits/token)" in text and "distinct 2" in text and "still talking" in text


async def test_a_replay_shows_what_was_said_by_then_and_obeys_its_keys(
    experiment: Experiment, tmp_path: Path
) -> None:
    home = LabHome(tmp_path / "lab")
    finished_talk(home, experiment, name="tides", t=time.time() - 60)
    app = app_on(home, glyphs=ASCII)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot, app)
        assert "quietly." in text_of(app) and text_of(app).isascii()
        await pilot.press("enter", "minus", "minus", "minus", "minus", "space")
        await until(pilot, app, lambda: (screen.viewing.head.limit or 0) >= 2)
        text = text_of(app)
        assert "playing" in text and "1 tok/s" in text and "quietly." not in text
        await pilot.press("space")
        paused = screen.viewing.head.limit
        assert paused is not None and not screen.viewing.head.is_playing
        await pilot.press("full_stop", "full_stop", "comma")
        assert screen.viewing.head.limit == paused + 1
        await pilot.press("g", "3", "enter")
        script = screen.viewing.script
        assert script is not None
        assert screen.viewing.head.limit == sum(script.lengths[:2]) + 1
        assert "turn 3/4" in text_of(app)
        await pilot.press("e")
        assert screen.viewing.head == Playhead(speed=1)
        assert "ended" in text_of(app)


async def test_a_living_self_chat_grows_as_it_talks_and_a_torn_file_is_said_in_place(
    experiment: Experiment, tmp_path: Path
) -> None:
    home = LabHome(tmp_path / "lab")
    run = new_talk(home, name="alive", t=time.time() - 5).supervised()
    one = experiment.conversations[0]
    app = app_on(home)
    with run.attempt(STAGE) as log:
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, app, lambda: "not begun to talk" in text_of(app))
            screen = screen_of(app)
            artifacts = announced(run.paths, experiment)
            taken(run, log, experiment, one, one.turns[0])
            await until(pilot, app, lambda: "1 turn," in text_of(app))
            assert "goes on" in text_of(app)
            for turn in one.turns[1:]:
                taken(run, log, experiment, one, turn)
            await until(pilot, app, lambda: "4 turns," in text_of(app))
            assert screen.viewing.talk is not None
            assert screen.viewing.talk.end == one.end and screen.viewing.held is not None
            assert screen.viewing.held.findings is None
            close(artifacts, experiment)
            log.append(End(reason="finished"))
            run.exited(STAGE)
            run.ended("finished")
            await until(
                pilot,
                app,
                lambda: (
                    screen.viewing.held is not None and screen.viewing.held.findings is not None
                ),
            )
            broken = new_talk(home, name="broken", t=time.time(), seed=2)
            announced(broken.paths, experiment).joinpath("turns.jsonl").write_text("what?\n")
            await until(pilot, app, lambda: "broken" in text_of(app))
            screen.runs_list.focus()
            await pilot.press("home", "enter")
            # Its beginning alone is on one line: the path in it decides where the others break.
            await until(pilot, app, lambda: "no turn of a self-chat on" in text_of(app))
            assert "line 1 of" in screen.viewing.problem


async def test_a_new_self_chat_is_checked_started_as_a_run_and_shown(tmp_path: Path) -> None:
    home = LabHome(tmp_path / "lab")
    trained_run(home)
    slug = list_runs(home)[0].slug
    app = app_on(home)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, app, lambda: "No self-chat in this lab home yet" in text_of(app))
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewSelfchat)
        assert "choose a model" in text_of(app)
        form.query_one("#new-model-a", Input).value = f"{slug}:sft"
        form.query_one("#new-temperatures", Input).value = "warm"
        await pilot.pause(0.1)
        assert "'warm'" in text_of(app)
        for name, value in (
            ("temperatures", "0.5,1.5"), ("turns", "2"), ("seeds", "1"), ("topics", "cats | dogs"),
            ("name", "pets"),
        ):  # fmt: skip
            form.query_one(f"#new-{name}", Input).value = value
        await pilot.pause(0.1)
        assert "4 conversations, at most 8 turns" in text_of(app)
        await pilot.press("enter")
        await until(pilot, app, lambda: "pets" in text_of(app) and "finished" in text_of(app))
        screen = screen_of(app)
        await until(
            pilot,
            app,
            lambda: screen.viewing.held is not None and screen.viewing.held.findings is not None,
        )
        assert len(screen.viewing.listed) == 4
        await pilot.press("a")
        await until(pilot, app, lambda: isinstance(app.screen, ArenaScreen))
        arena = app.screen
        assert isinstance(arena, ArenaScreen)
        await until(pilot, app, lambda: bool(arena.lanes))
        assert [lane.model.name for lane in arena.lanes] == [f"{slug}:sft@12"]


def test_the_same_conversation_is_found_at_every_checkpoint(experiment: Experiment) -> None:
    settings = tuple(
        replace(one, temperature=0.6, stage="sft", step=10 * (one.index + 1))
        for one in experiment.settings
    )
    along = replace(experiment, settings=settings)
    found = versions(along, along.conversations[1])
    assert [(one.setting, one.seed) for one in found] == [(0, 1), (1, 1)]
    assert len(versions(experiment, experiment.conversations[1])) == 1


def test_a_track_of_many_checkpoints_keeps_to_the_width_and_shows_the_marked_one() -> None:
    many = make_experiment(temperatures=(0.5,) * 30, num_conversations=1, num_turns=2)
    settings = {one.index: replace(one, stage="sft", step=one.index * 100) for one in many.settings}
    means = {one.number: (1.0, 2.0) for one in many.conversations}
    for place in (0, 12, 29):
        line = track_line(
            many.conversations, many.conversations[place], settings, means, 4.0, 60, UNICODE
        )
        assert len(line.text) <= 60 and f"[sft@{place * 100} " in line.text


def test_tokens_of_a_conversation_keep_their_place_in_every_width(experiment: Experiment) -> None:
    talk = experiment.conversations[0]
    script = Script(
        conversation=talk, setting=experiment.settings[0], tokenizer=make_tokenizer(), top=6.0
    )
    for width in (14, 48, 200):
        rows = script.rows(width, UNICODE)
        for turn, length in enumerate(script.lengths):
            assert row_of(rows, Spot(turn, length - 1)) is not None
        said = "".join(span.text for row in rows for span in row if span.turn == 0)
        assert "".join(said.split()).startswith("".join(talk.turns[0].text.split()))
        half = script.rows(width, UNICODE, script.lengths[0] + 3)
        assert row_of(half, Spot(1, 2)) is not None and row_of(half, Spot(1, 3)) is None
    assert moved(script.lengths, Spot(0, script.lengths[0] - 1), 1) == Spot(1, 0)
    assert moved(script.lengths, Spot(0, 0), -1) == Spot(0, 0)


def test_a_playhead_plays_to_the_end_and_then_shows_all() -> None:
    head = Playhead(speed=10).toggled(30)
    assert (head.limit, head.is_playing) == (0, True)
    head = head.after(1.0, 30)
    assert head.limit == 10 and head.turn([8, 22]) == 1
    assert not head.toggled(30).is_playing and head.toggled(30).limit == 10
    assert head.after(5.0, 30) == Playhead(speed=10)
    assert Playhead().stepped(-1, 30).limit == 29
    assert Playhead().faster(99).speed == 500 and Playhead().faster(-99).speed == 1
    assert Playhead().toggled(0).is_playing is False


def test_curves_have_their_intervals_and_count_who_still_talks(experiment: Experiment) -> None:
    cut = replace(
        experiment,
        conversations=tuple(
            replace(one, turns=one.turns[:2]) if one.number == 0 else one
            for one in experiment.conversations
        ),
    )
    plots = {plot.title: plot for plot in plots_of(cut)}
    entropy = plots["entropy (bits/token)"].curves[0]
    assert [turn for turn, _ in entropy.points] == [1, 2, 3, 4]
    assert [one.num for _, one in entropy.points] == [3, 3, 2, 2]
    for _, one in entropy.points:
        assert one.ci_low is not None and one.ci_high is not None
        assert one.ci_low <= one.mean <= one.ci_high
    talking = plots["still talking (share)"].curves[0]
    assert [round(one.mean, 2) for _, one in talking.points] == [1.0, 1.0, 0.67, 0.67]


def test_what_is_wanted_becomes_one_command() -> None:
    wanted = Wanted(models=("a:sft", "b:sft"), topics=topics_of(" one | two "), name="x")
    words = wanted.argv(LabHome(Path("/lab")))
    assert words.count("--model") == 2 and words[words.index("--topic") + 1] == "one"
    assert "2 settings x 2 topics x 4 seeds: 16 conversations" in wanted.size()
    assert last_words("x\nlabcli: error: no run matches 'q'\n", 3) == "no run matches 'q'"
    assert last_words("", 1) == "labcli selfchat ended with code 1"
