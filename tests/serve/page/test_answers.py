"""Asking and being answered: streams, stop, edit, regenerate, copy, several answers."""

from __future__ import annotations

import json
import re
import time

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.serve.builders import Server
from tests.serve.page.builders import Chat, asking, chunk, ending, new_page, script_answer


def test_message_is_answered_with_figures_below(chat: Chat) -> None:
    chat.use(seed=5)
    chat.send("What is 2 + 2?")

    expect(chat.said).to_have_text("What is 2 + 2?")
    expect(chat.answers).to_have_count(1)
    stats = chat.page.locator(".stats")
    expect(stats).to_contain_text(
        re.compile(
            r"\d+ tokens [\d.]+ tok/s first token \d+ ms "
            r"context \d+ of 512 trained \(max 5120\)"
        )
    )
    expect(stats).to_contain_text("mean entropy")
    expect(stats).to_contain_text("seed 5")
    expect(chat.page.locator("#live")).to_contain_text("Answer:")


def test_long_conversation_goes_on_and_says_how_much_is_no_longer_read(chat: Chat) -> None:
    chat.use(maxtokens=4)
    for letter in "abc":
        chat.send(letter * 1900)

    notices = chat.page.locator(".unread:visible")
    expect(notices).to_have_count(1)
    expect(notices).to_have_text(re.compile("oldest .* no longer"))
    chat.page.reload()
    expect(notices).to_have_count(1)


def test_answer_grows_while_it_arrives_and_stops_at_once(chat: Chat) -> None:
    chat.start_endless()
    body = chat.answers.locator(".body")
    expect(body).to_have_text(re.compile(".{20}", re.DOTALL))
    early = body.inner_text()
    expect(body).not_to_have_text(early)

    chat.page.get_by_role("button", name="Stop").click()

    chat.wait_answer()
    expect(chat.page.locator(".stats")).to_contain_text("stopped")
    expect(chat.box).to_be_focused()
    final = body.inner_text()
    assert len(final) >= len(early)
    # What was said before the stop belongs to the conversation that the next call sends.
    with asking(chat.page) as sent:
        chat.start("again")
    roles = [message["role"] for message in sent["messages"]]
    assert roles == ["user", "assistant", "user"]
    chat.page.keyboard.press("Escape")
    chat.wait_answer()


def test_escape_stops_an_answer(chat: Chat) -> None:
    chat.start_endless()
    expect(chat.answers.locator(".body")).not_to_be_empty()

    chat.page.keyboard.press("Escape")

    expect(chat.page.locator(".stats")).to_contain_text("stopped")


def test_second_question_waits_for_the_first_answer_and_is_not_lost(chat: Chat) -> None:
    chat.start_endless()
    chat.start("too early")

    expect(chat.page.locator("#toast")).to_contain_text("stop it first")
    expect(chat.box).to_have_value("too early")
    expect(chat.said).to_have_count(1)
    chat.page.keyboard.press("Escape")
    chat.wait_answer()


def test_stopping_frees_the_row_in_the_server(chat: Chat) -> None:
    chat.start_endless()
    expect(chat.answers.locator(".body")).not_to_be_empty()

    chat.page.keyboard.press("Escape")

    is_idle = "async () => (await (await fetch('stats')).json()).running === 0"
    chat.page.wait_for_function(is_idle)


def test_edited_message_is_asked_anew_and_what_followed_goes(chat: Chat) -> None:
    chat.send("first")
    chat.send("second")

    chat.page.get_by_role("button", name="Edit your message").first.click()
    editor = chat.page.get_by_role("textbox", name="Edit your message")
    expect(editor).to_be_focused()
    editor.fill("changed")
    chat.page.get_by_role("button", name="Send again").click()
    chat.wait_answer()

    expect(chat.said).to_have_text(["changed"])
    expect(chat.answers).to_have_count(1)


def test_cancelled_edit_changes_nothing(chat: Chat) -> None:
    chat.send("first")

    chat.box.press("ArrowUp")
    editor = chat.page.get_by_role("textbox", name="Edit your message")
    editor.fill("changed")
    editor.press("Escape")

    expect(chat.said).to_have_text(["first"])
    expect(chat.answers).to_have_count(1)


def test_regenerate_asks_the_same_question_again(chat: Chat) -> None:
    before = chat.send("same question")

    with asking(chat.page) as sent:
        chat.page.get_by_role("button", name="Regenerate").click()
    chat.wait_answer()

    assert sent["messages"] == [{"role": "user", "content": "same question"}]
    expect(chat.answers).to_have_count(1)
    assert chat.answers.locator(".body").inner_text() != before


def test_fixed_seed_repeats_an_answer(chat: Chat) -> None:
    chat.use(seed=11, maxtokens=20)
    chat.send("same question")
    [before] = chat.kept()

    chat.start("/retry")
    chat.wait_answer()

    [after] = chat.kept()
    assert after["turns"][1]["answers"][0]["parts"] == before["turns"][1]["answers"][0]["parts"]


def paste(chat: Chat, text: str) -> None:
    """Paste until the text is there: a browser says that it was written a moment too early."""
    deadline = time.monotonic() + 10
    while chat.box.input_value() != text:
        assert time.monotonic() < deadline, chat.box.input_value()
        chat.box.fill("")
        chat.box.press("ControlOrMeta+v")


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_copied_text_can_be_pasted(browser: Browser, server: Server, has_clipboard: bool) -> None:
    with new_page(browser) as (page, problems):
        if not has_clipboard:
            page.add_init_script(
                "Object.defineProperty(navigator, 'clipboard', {value: undefined})"
            )
        chat = Chat(page, server.url).opened()
        script_answer(page, chunk("one two "), chunk("**three**"), ending())
        chat.send("copy me")

        page.get_by_role("button", name="Copy answer").click()
        expect(page.locator("#toast")).to_have_text("Copied")
        paste(chat, "one two **three**")
        # The second copy has to say so itself: it is only in the clipboard then.
        page.locator("#toast").evaluate("toast => { toast.textContent = ''; }")
        page.get_by_role("button", name="Copy your message").click()
        expect(page.locator("#toast")).to_have_text("Copied")
        paste(chat, "copy me")
        assert problems == []


def test_several_answers_stand_side_by_side_and_one_is_gone_on_with(chat: Chat) -> None:
    chat.page.get_by_label("Answers").select_option("3")
    chat.use(maxtokens=12)
    chat.send("several")

    expect(chat.answers).to_have_count(3)
    boxes = [answer.bounding_box() for answer in chat.answers.all()]
    assert len({box["y"] for box in boxes if box}) == 1
    assert len({box["x"] for box in boxes if box}) == 3
    texts = [body.inner_text() for body in chat.page.locator(".body").all()]
    assert len(set(texts)) == 3
    seeds = re.findall(r"seed (\d+)", " ".join(chat.page.locator(".stats").all_inner_texts()))
    assert len(set(seeds)) == 3

    chat.page.get_by_role("button", name="Go on with answer 2").click()
    chat.page.get_by_label("Answers").select_option("1")
    with asking(chat.page) as sent:
        chat.send("and now")

    assistant = chat.kept()[0]["turns"][1]
    assert assistant["chosen"] == 1
    chosen = "".join(part["text"] for part in assistant["answers"][1]["parts"])
    told = sent["messages"][1]
    # An untrained model may call a tool, too: then what it said is sent back in its parts.
    parts = told["content"]
    text = parts if isinstance(parts, str) else "".join(part["text"] for part in parts)
    assert (told["role"], text) == ("assistant", chosen)


def test_model_picker_changes_who_answers(chat: Chat) -> None:
    value = chat.page.locator("#model option[value*=':mid']").get_attribute("value")
    chat.page.get_by_label("Model", exact=True).select_option(value)
    chat.use(maxtokens=5)
    chat.send("hello")

    expect(chat.page.locator(".who")).to_have_text(str(value))


def test_calls_of_tools_are_shown_and_sent_back_as_parts(chat: Chat) -> None:
    called = [{"type": "python", "text": "27*14"}]
    gave = [{"type": "python_output", "text": "378"}]
    script_answer(
        chat.page, chunk("It is "), chunk(parts=called), chunk(parts=gave), chunk("378."), ending()
    )
    chat.send("What is 27*14?")

    expect(chat.page.locator(".tool")).to_have_text(["calculator27*14gave378"])
    with asking(chat.page) as sent:
        chat.send("and then?")
    assert sent["messages"][1]["content"] == [
        {"type": "text", "text": "It is "}, *called, *gave, {"type": "text", "text": "378."},
    ]  # fmt: skip


def test_server_accepts_parts_of_tools_in_the_history(chat: Chat) -> None:
    script_answer(chat.page, chunk(parts=[{"type": "python", "text": "1+1"}]), ending())
    chat.send("first")
    chat.page.unroute("**/v1/chat/completions")
    chat.use(maxtokens=5)

    chat.send("second")

    expect(chat.page.locator(".error:visible")).to_have_count(0)
    expect(chat.answers).to_have_count(2)


def test_markdown_shows_code_bold_and_lists(chat: Chat) -> None:
    text = "# Head\nSome **bold** and `code`.\n\n- one\n- two\n\n1. first\n\n"
    script_answer(chat.page, chunk(text), chunk("```py\nx = '<b>'\n```\nend"), ending())
    chat.send("show")

    body = chat.page.locator(".body")
    expect(body.locator("strong")).to_have_text("bold")
    expect(body.locator("p code")).to_have_text("code")
    expect(body.locator("ul li")).to_have_text(["one", "two"])
    expect(body.locator("ol li")).to_have_text(["first"])
    expect(body.locator("pre")).to_have_text("x = '<b>'")
    expect(body.locator("h3")).to_have_text("Head")


def test_refusal_is_shown_where_the_answer_would_be_and_left_out_of_what_is_sent(
    browser: Browser, server: Server
) -> None:
    with new_page(browser) as (page, problems):
        chat = Chat(page, server.url).opened()
        chat.send("x" * 8001)
        expect(page.locator(".error")).to_contain_text("8001 characters; at most 8000")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        # The browser itself reports the status.
        assert [problem for problem in problems if "status of 400" not in problem] == []

        chat.use(maxtokens=5)
        with asking(page) as sent:
            chat.send("shorter")
        assert [message["content"] for message in sent["messages"]] == ["shorter"]
        expect(page.locator(".error:visible")).to_have_count(1)


def test_broken_stream_keeps_what_came_and_says_so(chat: Chat) -> None:
    page = chat.page
    event = json.dumps(chunk("half an ans"))

    def break_off(route: Route) -> None:
        route.fulfill(content_type="text/event-stream", body=f"data: {event}\n\n")

    page.route("**/v1/chat/completions", break_off)
    chat.send("tell me")

    expect(page.locator(".body")).to_have_text("half an ans")
    expect(page.locator(".error")).to_contain_text("broke before the answer was complete")
