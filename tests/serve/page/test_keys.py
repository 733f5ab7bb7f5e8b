"""The page without a mouse: focus, shortcuts, slash commands."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.serve.page.builders import Chat

FOCUSED = "(({id, ariaLabel, innerText}) => id || ariaLabel || innerText)(document.activeElement)"


def test_whole_round_trip_by_keyboard_alone(chat: Chat) -> None:
    keyboard = chat.page.keyboard
    expect(chat.box).to_be_focused()
    keyboard.type("/maxtokens 6")
    keyboard.press("Enter")
    keyboard.type("hello")
    keyboard.press("Enter")
    chat.wait_answer()
    expect(chat.box).to_be_focused()
    keyboard.press("ArrowUp")
    keyboard.press("ControlOrMeta+a")
    keyboard.type("changed")
    keyboard.press("Enter")
    chat.wait_answer()
    expect(chat.said).to_have_text(["changed"])
    expect(chat.box).to_be_focused()
    names = []
    for _ in range(12):
        keyboard.press("Shift+Tab")
        names.append(chat.page.evaluate("document.activeElement.innerText"))
        if names[-1] == "Regenerate":
            break
    assert names[-1] == "Regenerate", names
    keyboard.press("Enter")
    chat.wait_answer()
    expect(chat.answers).to_have_count(1)


def test_tab_reaches_every_control_in_the_order_of_the_page(chat: Chat) -> None:
    chat.use(maxtokens=4)
    chat.send("hello")
    chat.page.locator(".skip").focus()
    seen = []
    for _ in range(24):
        chat.page.keyboard.press("Tab")
        name = chat.page.evaluate(FOCUSED)
        if name in seen:
            break
        seen.append(name)

    wanted = [
        "new", "hello", "Rename", "Export", "Delete", "model", "theme", "open-settings",
        "open-help", "log", "Copy your message", "Edit your message", "Copy answer",
        "Regenerate: answer this question again", "message", "num-answers",
        "entropy", "send",
    ]  # fmt: skip
    assert seen[: len(wanted)] == wanted


def test_controls_have_names_and_focus_can_be_seen(chat: Chat) -> None:
    chat.use(maxtokens=4)
    chat.send("hello")
    nameless = chat.page.evaluate(
        "() => [...document.querySelectorAll('button, input, select, textarea, [role=option]')]"
        ".filter((node) => !(node.ariaLabel || node.innerText.trim() || node.labels?.length))"
        ".map((node) => node.outerHTML.slice(0, 80))"
    )
    assert nameless == []
    chat.page.get_by_role("button", name="Settings").focus()
    chat.page.keyboard.press("Tab")
    outline = chat.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "2px"


@pytest.mark.parametrize("keys", ["Control+Shift+N", "Control+Shift+O"])
def test_keys_begin_a_new_conversation(chat: Chat, keys: str) -> None:
    chat.use(maxtokens=4)
    chat.send("old")

    chat.page.keyboard.press(keys)

    expect(chat.said).to_have_count(0)
    expect(chat.page.locator("#list .open")).to_have_text(["old"])
    expect(chat.box).to_be_focused()


def test_question_mark_helps_and_is_a_letter_while_typing(chat: Chat) -> None:
    help_dialog = chat.page.get_by_role("dialog", name="Help")
    chat.box.press("?")
    expect(chat.box).to_have_value("?")
    expect(help_dialog).to_be_hidden()

    chat.page.locator("#log").focus()
    chat.page.keyboard.press("?")
    expect(help_dialog).to_contain_text("/temperature [number]")
    chat.page.keyboard.press("Escape")
    expect(help_dialog).to_be_hidden()


def test_slash_and_tab_complete_a_command(chat: Chat) -> None:
    chat.box.press_sequentially("/te")
    expect(chat.page.locator("#hints")).to_contain_text("/temperature [number]")
    chat.box.press("Tab")
    expect(chat.box).to_have_value("/temperature ")
    expect(chat.page.locator("#hints")).to_be_hidden()
    chat.box.press("Tab")
    expect(chat.box).not_to_be_focused()


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/temperature 1.5", "temperature is 1.5"),
        ("/topk 20", "top-k is 20"),
        ("/seed 5", "seed is 5"),
        ("/seed random", "seed is random"),
        ("/maxtokens none", "max tokens is open"),
        ("/stats off", "stats is off"),
        ("/theme dark", "theme is dark"),
        ("/temperature hot", "Temperature must be a number from 0 to 2"),
        ("/topk 1.5", "Top-k must be a whole number from 0 to 200"),
        ("/model nobody", 'no models match "nobody"; /model lists them'),
        ("/retry", "there is no question yet"),
        ("/nothing", "no command /nothing; /help lists them, // begins a message with /"),
        ("/", "no command /; /help lists them, // begins a message with /"),
    ],
)
def test_command_says_what_it_did(chat: Chat, line: str, answer: str) -> None:
    assert chat.command(line) == answer


def test_model_command_lists_and_chooses(chat: Chat) -> None:
    listed = chat.command("/model")
    assert ":sft@12" in listed
    assert ":mid@12" in listed

    assert chat.command("/model mid").endswith(":mid@12")
    assert chat.page.get_by_label("Model", exact=True).input_value().endswith(":mid@12")


def test_two_slashes_send_a_message_that_begins_with_one(chat: Chat) -> None:
    chat.use(maxtokens=4)
    chat.send("//etc is a directory")
    expect(chat.said).to_have_text("/etc is a directory")


def test_clear_begins_anew_and_help_opens(chat: Chat) -> None:
    chat.use(maxtokens=4)
    chat.send("old")
    chat.start("/clear")
    expect(chat.said).to_have_count(0)
    chat.start("/help")
    expect(chat.page.get_by_role("dialog", name="Help")).to_be_visible()
