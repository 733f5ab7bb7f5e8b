"""A talk in a real terminal: keys, Ctrl-C, several lines at once, history."""

from __future__ import annotations

import pytest

from runs.errors import ExitCode
from runs.paths import LabHome
from tests.cli.keyboard import Keyboard
from tests.cli.talking import trained_run

CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"
# Without randomness the model of the tests never ends an answer to "hello".
ENDLESS = ("--temperature", "0", "--max-new-tokens", "4000")
PASTE = "\x1b[200~{}\x1b[201~"


@pytest.fixture
def home(home: LabHome) -> LabHome:
    """A lab home with a finished run."""
    trained_run(home)
    return home


def test_ctrl_c_stops_an_answer_and_the_talk_goes_on(home: LabHome) -> None:
    with Keyboard(home, "chat", *ENDLESS) as keys:
        keys.wait_for("> ")
        keys.press("hello\r")
        keys.wait_for("\x1b[?2004l")
        keys.wait_for_more()
        keys.press(CTRL_C)
        assert "stopped" in keys.wait_for("stopped")
        keys.wait_for("> ")
        keys.press("/stats\r")
        assert "stopped" in keys.wait_for("settings")
        keys.wait_for("> ")
        keys.press_at_prompt(CTRL_D)

        assert keys.wait_for_exit() == ExitCode.OK


def test_ctrl_c_twice_at_the_prompt_leaves_as_interrupted(home: LabHome) -> None:
    with Keyboard(home, "chat") as keys:
        keys.wait_for("> ")
        # Apart: Ctrl-C throws away what the prompt has not read yet, which would go on waiting.
        keys.press("half a thought")
        keys.wait_for("half a thought")
        keys.press_at_prompt(CTRL_C)
        keys.wait_for("leaves")
        keys.wait_for("> ")
        keys.press_at_prompt(CTRL_C)

        assert keys.wait_for_exit() == ExitCode.INTERRUPTED
    assert "Traceback" not in keys.shown


def test_pasted_lines_and_lines_with_a_backslash_are_one_message(home: LabHome) -> None:
    with Keyboard(home, "chat", "--max-new-tokens", "4") as keys:
        keys.wait_for("> ")
        keys.press("/system one\\\r")
        keys.wait_for(". ")
        keys.press("two\r")
        assert "system: one\r\ntwo" in keys.wait_for("one\r\ntwo")
        keys.press(PASTE.format("/system three\nfour") + "\r")
        assert "three\r\nfour" in keys.wait_for("system: three\r\nfour")
        keys.press("/quit\r")

        assert keys.wait_for_exit() == ExitCode.OK


def test_a_later_talk_remembers_what_was_typed_unless_told_not_to(home: LabHome) -> None:
    with Keyboard(home, "chat") as keys:
        keys.wait_for("> ")
        keys.press("/temperature 0.25\r")
        keys.wait_for("temperature 0.25")
        keys.press("/quit\r")
        keys.wait_for_exit()
    with Keyboard(home, "chat", "--no-history") as keys:
        keys.wait_for("> ")
        keys.press("/topk 7\r/quit\r")
        keys.wait_for_exit()

    with Keyboard(home, "chat") as keys:
        keys.wait_for("> ")
        keys.press(UP + UP + "\r")
        keys.wait_for("temperature 0.25  top-k 50")
        keys.press("/quit\r")
        keys.wait_for_exit()
    assert "topk" not in (home.root / "chat_history").read_text()


def test_compare_draws_on_a_screen_of_its_own_and_leaves_what_there_is(home: LabHome) -> None:
    words = ("compare", "hello", "--n", "2", *ENDLESS)
    with Keyboard(home, *words) as keys:
        keys.wait_for("\x1b[?1049h")
        keys.wait_for("answering")
        keys.press(CTRL_C)
        keys.wait_for("\x1b[?1049l")

        assert keys.wait_for_exit() == ExitCode.INTERRUPTED
    assert "stopped" in keys.shown
    assert "temperature 0" in keys.shown
