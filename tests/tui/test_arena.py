"""The arena: columns that stream from a real server, votes, files, and a server that is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
from textual.pilot import Pilot

from core.experiments.compare.answers import ANSWERS_FILE, read_answers, read_asked, read_times
from runs.labels import read_votes
from runs.paths import LabHome
from tests.tui.answering import ENDLESS, OTHER, HeldClient, RunningServer, asking_app, copy_of
from tests.tui.frames import frame, until, until_text
from tui.answering.answers import departure, token_at
from tui.answering.server_process import ServerProcess
from tui.app import LabApp
from tui.screens.arena import ArenaScreen
from tui.screens.pick_model import PickModelScreen
from tui.shell.glyphs import ASCII, UNICODE
from tui.widgets.answer_view import AnswerView


def arena(app: LabApp) -> ArenaScreen:
    return next(screen for screen in app.screen_stack if isinstance(screen, ArenaScreen))


async def opened(pilot: Pilot[None], app: LabApp, num_lanes: int = 2) -> ArenaScreen:
    await until(pilot, lambda: isinstance(app.screen, ArenaScreen))
    await until(pilot, lambda: len(arena(app).lanes) == num_lanes)
    return arena(app)


async def ask(pilot: Pilot[None], screen: ArenaScreen, text: str = "hello") -> None:
    """Ask every column and wait for all answers."""
    screen.prompt.focus()
    await pilot.press(*text, "enter")
    await until(pilot, lambda: all(lane.answer is not None for lane in screen.lanes))
    await until(pilot, lambda: not any(lane.is_at_work for lane in screen.lanes))
    await until(pilot, lambda: not screen.has_news)
    await pilot.pause()


def is_picking(app: LabApp) -> bool:
    """Return whether there are models to choose from."""
    return isinstance(app.screen, PickModelScreen) and app.screen.listed.option_count > 0


def shorten(screen: ArenaScreen, num_tokens: int) -> None:
    for lane in screen.lanes:
        lane.settings = lane.settings.changed(max_new_tokens=num_tokens, temperature=0.0)


async def test_columns_stream_at_once_with_figures_and_a_mark_where_they_part(
    lab: LabHome, socket: Path, tmp_path: Path
) -> None:
    home = copy_of(lab, tmp_path / "lab")
    app = asking_app(home, "arena", ENDLESS, OTHER, server=RunningServer(home, socket))
    async with app.run_test(size=(200, 50), notifications=True) as pilot:
        screen = await opened(pilot, app)
        shorten(screen, 20)
        await ask(pilot, screen)
        await until_text(pilot, app, "20 tok")
        text = "\n".join(frame(app))
        assert ":mid@12" in text and ":sft@12" in text
        assert "20 tok" in text and "TTFT" in text and "bits" in text
        first, second = (lane.answer for lane in screen.lanes)
        assert first is not None and second is not None
        char = departure(first, second)
        assert char is not None
        assert f"departs at token {token_at(second.tokens, char) + 1}" in text
        await pilot.press("escape", "w")
        await until_text(pilot, app, "saved in")
    (place,) = (home.generations_dir).iterdir()
    saved = read_answers(place / ANSWERS_FILE)
    assert [answer.ids for answer in saved] == [tuple(first.ids), tuple(second.ids)]
    assert [len(answer.entropy_nats) for answer in saved] == [20, 20]
    assert list(read_asked(place / "asked.json").models.values()) == [
        lane.model.name for lane in screen.lanes
    ]
    assert all(times.last_s > times.ttft_s > 0 for times in read_times(place / "times.jsonl"))


async def test_one_column_is_stopped_while_the_other_goes_on_and_both_can_be_asked_again(
    lab: LabHome, socket: Path
) -> None:
    client = HeldClient(RunningServer(lab, socket))
    app = asking_app(lab, "arena", ENDLESS, ENDLESS, server=client)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot, app)
        shorten(screen, 4000)
        await pilot.press(*"hello", "enter")
        first, second = screen.lanes
        await until(pilot, lambda: all(lane.answer is not None for lane in screen.lanes))
        running, stopped = first.answer, second.answer
        assert running is not None and stopped is not None
        await until(pilot, lambda: bool(running.ids and stopped.ids))
        await pilot.press("escape", "right", "s")
        await until(pilot, lambda: stopped.phase == "stopped")
        assert first.is_at_work
        await pilot.press("S")
        await until(pilot, lambda: running.phase == "stopped")
        client.let_go()
        shorten(screen, 3)
        await pilot.press("r")
        await until(pilot, lambda: second.is_whole)
        assert second.answer is not stopped
        # Two columns of one model draw differently, and a retry draws anew.
        assert (first.settings.seed, second.settings.seed) == (0, 2)


async def test_a_blind_vote_hides_names_and_figures_until_it_is_kept(
    lab: LabHome, socket: Path, tmp_path: Path
) -> None:
    home = copy_of(lab, tmp_path / "lab")
    app = asking_app(home, "arena", ENDLESS, OTHER, server=RunningServer(home, socket))
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = await opened(pilot, app)
        shorten(screen, 10)
        await pilot.press("escape", "b")
        await ask(pilot, screen)
        text = "\n".join(frame(app))
        assert ":mid@12" not in text and ":sft@12" not in text
        assert "TTFT" not in text and "hidden until you vote" in text
        await pilot.press("escape", "2")
        await until_text(pilot, app, "1 vote is kept")
        await until_text(pilot, app, ":mid@12")
        assert ":sft@12" in "\n".join(frame(app))
        # What was voted on is not voted on twice.
        await pilot.press("1", "t")
        first, second = screen.lanes
    (ballot,) = read_votes(home)
    assert (ballot.prompt, ballot.choice) == ("hello", "second")
    assert (ballot.first.model, ballot.second.model) == (first.model.name, second.model.name)
    assert second.answer is not None and ballot.second.text == second.answer.shown
    assert ballot.settings["temperature"] == 0.0


async def test_a_model_is_found_as_it_is_typed_and_six_columns_page_in_a_small_terminal(
    lab: LabHome, socket: Path
) -> None:
    app = asking_app(lab, "arena", ENDLESS, server=RunningServer(lab, socket), glyphs=ASCII)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot, app, 1)
        for num in range(2, 7):
            await pilot.press("escape", "a")
            await until(pilot, lambda: is_picking(app))
            await pilot.press(*"base", "enter")
            await until(pilot, lambda num=num: len(screen.lanes) == num)  # type: ignore[misc]
        assert [lane.model.stage for lane in screen.lanes] == ["mid", *["base"] * 5]
        assert [lane.settings.seed for lane in screen.lanes] == [0, 0, 1, 2, 3, 4]
        await pilot.press("escape")
        await until_text(pilot, app, "[A][B] C  D  E  F")
        await pilot.press("6")
        await until_text(pilot, app, "A  B  C  D [E][F]")
        lines = frame(app)
        assert all(line.isascii() and len(line) <= 80 for line in lines)
        await pilot.press("a")
        await until_text(pilot, app, "there is room for 6 columns")
        await pilot.press("x")
        await until(pilot, lambda: len(screen.lanes) == 5)


@pytest.mark.parametrize("view", ["arena", "chat"])
async def test_a_lab_home_without_models_says_how_to_get_one(view: str, tmp_path: Path) -> None:
    home = LabHome(tmp_path)
    app = asking_app(home, view, server=ServerProcess(home))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until_text(pilot, app, "labcli run speedrun")
        await pilot.press(*"hello", "enter")
        await pilot.pause()
        assert app.is_running


async def test_a_killed_server_is_told_in_place_and_the_app_starts_another_that_ends_with_it(
    lab: LabHome, tmp_path: Path
) -> None:
    home = copy_of(lab, tmp_path / "lab")
    server = ServerProcess(home)
    client = HeldClient(server)
    app = asking_app(home, "arena", ENDLESS, server=client)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot, app, 1)
        shorten(screen, 4000)
        await pilot.press(*"hello", "enter")
        await until_text(pilot, app, "starting the model server")
        (lane,) = screen.lanes
        answer = lane.answer
        assert answer is not None
        await until(pilot, lambda: answer.num_tokens > 3)
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        client.let_go()
        await until(pilot, lambda: answer.phase == "failed")
        await until_text(pilot, app, "was ended by SIGKILL")
        assert answer.num_tokens > 3
        shorten(screen, 5)
        await pilot.press("escape", "r")
        await until(pilot, lambda: lane.is_whole)
        assert server.num_starts == 2
        last = psutil.Process(server.pid)
    assert not last.is_running()


async def test_the_cursor_on_a_token_tells_what_else_the_model_thought_of(
    lab: LabHome, socket: Path
) -> None:
    app = asking_app(lab, "arena", ENDLESS, OTHER, server=RunningServer(lab, socket))
    async with app.run_test(size=(120, 30), notifications=True) as pilot:
        screen = await opened(pilot, app)
        shorten(screen, 10)
        await ask(pilot, screen)
        await pilot.press("escape", "full_stop", "full_stop")
        (lane, other), glyphs = screen.lanes, UNICODE
        answer, names = lane.answer, screen.names
        assert answer is not None and lane.cursor == 1
        await until_text(pilot, app, "token 2 of 10")
        # Greedy: what was said is the likeliest of the five.
        wanted = {one for one, _ in answer.tops[1]}
        assert len(wanted) == 5 and answer.tops[1][0][0] == answer.ids[1]
        await until(pilot, lambda: wanted <= set(names.get(lane.model.name, {})))
        shares = [f"{100 * p:.1f}%" for _, p in answer.tops[1]]
        for share in shares:
            await until_text(pilot, app, share)
        await until_text(pilot, app, f"likeliest  {glyphs.cursor} ")
        await pilot.press("right", "d")
        assert other.answer is not None
        await until(pilot, lambda: other.cursor is not None)
        await until_text(pilot, app, f"token {(other.cursor or 0) + 1} of 10")
        await pilot.press("escape")
        await until(pilot, lambda: "likeliest" not in "\n".join(frame(app)))
        await pilot.click(screen.query(AnswerView).first(), offset=(0, 0))
        await until(pilot, lambda: lane.cursor is not None)
