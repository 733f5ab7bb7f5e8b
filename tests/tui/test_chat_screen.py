"""The chat: turns that stream from a real server, commands, edits, and what outlives a switch."""

from __future__ import annotations

import json
from pathlib import Path

from textual import events
from textual.pilot import Pilot

from runs.paths import LabHome
from tests.tui.answering import ENDLESS, OTHER, HeldClient, RunningServer, asking_app, copy_of
from tests.tui.frames import frame, until, until_text
from tui.answering.talk import stats_words
from tui.app import LabApp
from tui.screens.chat import ChatScreen
from tui.widgets.turn_view import TurnView


def chat(app: LabApp) -> ChatScreen:
    return next(screen for screen in app.screen_stack if isinstance(screen, ChatScreen))


async def opened(pilot: Pilot[None], app: LabApp, num_tokens: int = 6) -> ChatScreen:
    await until(pilot, lambda: isinstance(app.screen, ChatScreen))
    await until(pilot, lambda: chat(app).talk.model is not None)
    await send(pilot, chat(app), f"/max {num_tokens}")
    return chat(app)


async def send(pilot: Pilot[None], screen: ChatScreen, text: str) -> None:
    """Send a text; typed by hand, every letter is a frame."""
    screen.prompt.focus()
    await until(pilot, lambda: screen.prompt.has_focus)
    screen.prompt.write(text)
    await pilot.press("enter")


async def say(pilot: Pilot[None], screen: ChatScreen, text: str) -> None:
    """Send a text and wait for the answer."""
    num = len(screen.talk.turns)
    await send(pilot, screen, text)
    await until(pilot, lambda: len(screen.talk.turns) > num and not screen.talk.is_at_work)
    told = stats_words(screen.talk.turns[-1].answer)
    await until(pilot, lambda: screen.query(TurnView).last().state.content == told)


async def test_a_talk_of_several_turns_is_kept_across_views_and_saved(
    lab: LabHome, socket: Path, tmp_path: Path
) -> None:
    home = copy_of(lab, tmp_path / "lab")
    app = asking_app(home, "chat", OTHER, server=RunningServer(home, socket))
    async with app.run_test(size=(100, 40), notifications=True) as pilot:
        screen = await opened(pilot, app)
        await say(pilot, screen, "hello")
        await say(pilot, screen, "again")
        text = "\n".join(frame(app))
        assert "hello" in text and "again" in text
        assert "6 tokens" in text and "of 512 trained" in text and "cut off" in text
        first, second = screen.talk.turns
        assert first.answer.ending is not None and second.answer.ending is not None
        # The second prompt holds the first turn.
        assert second.answer.ending.used > first.answer.ending.used + 6
        await pilot.press("f2")
        await until(pilot, lambda: not isinstance(app.screen, ChatScreen))
        await pilot.press("f6")
        await until(pilot, lambda: app.screen is screen)
        await until_text(pilot, app, "again")
        await send(pilot, screen, f"/save {tmp_path}/talk.json")
        await until_text(pilot, app, "saved 2 turns")
        await pilot.press("escape", "w")
        await until(pilot, home.generations_dir.is_dir)
    saved = json.loads((tmp_path / "talk.json").read_text())
    assert [message["role"] for message in saved["messages"]] == ["user", "assistant"] * 2
    assert saved["answers"][1]["context"]["trained"] == 512
    (kept,) = home.generations_dir.glob("*-chat.json")
    assert json.loads(kept.read_text())["messages"] == saved["messages"]


async def test_an_earlier_question_is_changed_and_the_last_one_asked_again(
    lab: LabHome, socket: Path
) -> None:
    app = asking_app(lab, "chat", OTHER, server=RunningServer(lab, socket))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot, app)
        await say(pilot, screen, "one")
        await say(pilot, screen, "two")
        await pilot.press("escape", "up", "e")
        await until(pilot, lambda: screen.prompt.text == "one")
        await until_text(pilot, app, "drops what followed")
        # Nothing is lost before the changed question is sent.
        assert [turn.text for turn in screen.talk.turns] == ["one", "two"]
        await pilot.press(*"!", "enter")
        await until(pilot, lambda: [turn.text for turn in screen.talk.turns] == ["one!"])
        await until(pilot, lambda: not screen.talk.is_at_work)
        before = screen.talk.turns[0]
        await pilot.press("escape", "r")
        await until(pilot, lambda: screen.talk.turns[0] is not before)
        await until(pilot, lambda: not screen.talk.is_at_work)
        (turn,) = screen.talk.turns
        assert turn.text == "one!"
        assert turn.settings.seed > before.settings.seed
        await until(pilot, lambda: "two" not in "\n".join(frame(app)))


async def test_escape_stops_an_answer_and_commands_change_how_the_next_is_drawn(
    lab: LabHome, socket: Path
) -> None:
    client = HeldClient(RunningServer(lab, socket))
    app = asking_app(lab, "chat", ENDLESS, server=client)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot, app, 4000)
        await send(pilot, screen, "/temperature 0")
        await send(pilot, screen, "endless")
        await until(pilot, lambda: bool(screen.talk.turns and screen.talk.turns[0].answer.ids))
        await pilot.press("escape")
        await until(pilot, lambda: screen.talk.turns[0].answer.phase == "stopped")
        await until_text(pilot, app, "stopped")
        await send(pilot, screen, "/topk 7")
        await until_text(pilot, app, "k 7")
        assert screen.talk.settings.top_k == 7 and screen.talk.settings.temperature == 0.0
        await send(pilot, screen, "/topk zero")
        await until_text(pilot, app, "takes a whole number")
        await send(pilot, screen, "/nothing")
        await until_text(pilot, app, "no command '/nothing'")
        await pilot.press("escape", "plus", "greater_than_sign")
        await until_text(pilot, app, "T 0.1  k 14")
        await pilot.press("i")
        await until(pilot, lambda: screen.prompt.has_focus)
        await send(pilot, screen, "/model tiny:base")
        await until_text(pilot, app, "goes on with a text")
        await send(pilot, screen, "/clear")
        await until(pilot, lambda: screen.talk.turns == [])


async def test_what_is_typed_in_one_go_is_sent_whole(lab: LabHome, socket: Path) -> None:
    app = asking_app(lab, "chat", OTHER, server=RunningServer(lab, socket))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        screen = await opened(pilot, app)
        for char in "hello":
            app.post_message(events.Key(char, char))
        app.post_message(events.Key("enter", "\r"))
        app.post_message(events.Key("x", "x"))
        await until(pilot, lambda: bool(screen.talk.turns) and screen.prompt.text == "x")
        assert screen.talk.turns[0].text == "hello"
