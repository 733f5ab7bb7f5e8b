"""What the browser keeps: settings and conversations."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.serve.builders import Server
from tests.serve.page.builders import Chat, asking


def titles(chat: Chat) -> list[str]:
    """Return the names in the list of conversations."""
    return chat.page.locator("#list .open").all_inner_texts()


def test_settings_survive_a_reload_and_reach_the_server(chat: Chat) -> None:
    page = chat.page
    page.get_by_role("button", name="Settings").click()
    for label, value in {
        "Temperature": "1.25", "Top-k": "20", "Top-p": "0.9", "Min-p": "0.05",
        "Repetition penalty": "1.1", "Max tokens": "6", "Seed": "77", "System text": "Be brief.",
    }.items():  # fmt: skip
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Done").click()
    page.reload()
    chat.wait_models()

    with asking(page) as sent:
        chat.send("hello")

    expected = {
        "temperature": 1.25, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.1,
        "max_tokens": 6, "seed": 77, "n": 1, "lab": True, "stream": True,
    }  # fmt: skip
    assert {key: sent[key] for key in expected} == expected
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}


def test_wrong_setting_is_said_and_not_kept(chat: Chat) -> None:
    chat.page.get_by_role("button", name="Settings").click()
    field = chat.page.get_by_label("Temperature")
    for wrong in ("3", "warm", "-1", ""):
        field.fill(wrong)
        expect(field).to_have_attribute("aria-invalid", "true")
    expect(chat.page.locator("#set-temperature-help")).to_contain_text("from 0 to 2")
    chat.page.keyboard.press("Escape")

    assert chat.command("/temperature") == "temperature is 0.8"


def test_conversations_survive_a_reload(chat: Chat) -> None:
    chat.use(maxtokens=6)
    first = chat.send("first question")
    chat.page.get_by_role("button", name="New chat").click()
    chat.send("second question")

    chat.page.reload()

    assert titles(chat) == ["second question", "first question"]
    chat.page.get_by_role("button", name="first question").click()
    expect(chat.said).to_have_text(["first question"])
    expect(chat.answers.locator(".body")).to_have_text(first, use_inner_text=True)


def test_reload_in_the_middle_of_an_answer_keeps_what_came(chat: Chat) -> None:
    chat.start_endless()
    expect(chat.answers.locator(".body")).not_to_be_empty()

    chat.page.reload()

    expect(chat.page.locator(".stats")).to_contain_text("stopped")
    expect(chat.answers.locator(".body")).not_to_be_empty()


def test_conversation_is_renamed_and_keeps_the_name(chat: Chat) -> None:
    chat.use(maxtokens=4)
    chat.send("a question")

    chat.page.get_by_role("button", name="Rename").click()
    chat.page.get_by_label("Name of the conversation").fill("Sums")
    chat.page.keyboard.press("Enter")
    chat.send("another")
    chat.page.reload()

    assert titles(chat) == ["Sums"]


def test_deleted_conversation_is_gone_unless_it_is_undone(chat: Chat) -> None:
    chat.use(maxtokens=4)
    chat.send("precious")

    chat.page.get_by_role("button", name="Delete").click()
    assert titles(chat) == []
    assert chat.kept() == []
    chat.page.get_by_role("button", name="Undo").click()

    assert titles(chat) == ["precious"]
    expect(chat.said).to_have_text(["precious"])


def test_export_is_a_file_with_the_whole_conversation(chat: Chat, tmp_path: Path) -> None:
    chat.use(maxtokens=4, seed=9)
    chat.send("keep this")

    with chat.page.expect_download() as saved:
        chat.command("/save")

    path = tmp_path / "chat.json"
    saved.value.save_as(path)
    held = json.loads(path.read_text(encoding="utf-8"))
    assert saved.value.suggested_filename == "keep-this.json"
    assert (held["format"], held["version"]) == ("labcli-chat", 1)
    assert held["conversation"]["turns"][0] == {"role": "user", "text": "keep this"}
    assert held["conversation"]["turns"][1]["answers"][0]["stats"]["seed"] == 9


def test_second_tab_sees_the_conversations_of_the_first(chat: Chat, server: Server) -> None:
    chat.use(maxtokens=4)
    other = Chat(chat.page.context.new_page(), server.url).opened()

    chat.send("from the first tab")

    expect(other.page.locator("#list .open")).to_have_text(["from the first tab"])


def test_foreign_and_damaged_entries_of_the_storage_are_passed_over(chat: Chat) -> None:
    chat.use(maxtokens=4)
    chat.send("sound")
    chat.page.evaluate(
        "() => { localStorage.setItem('labcli.chat.a', '{broken');"
        'localStorage.setItem(\'labcli.chat.b\', \'{"id": "b", "turns": [{"role": "x"}]}\');'
        'localStorage.setItem(\'labcli.settings\', \'{"temperature": "hot", "theme": 5}\'); }'
    )

    chat.page.reload()
    chat.wait_models()

    assert titles(chat) == ["sound"]
    assert chat.command("/temperature") == "temperature is 0.8"


def test_full_storage_gives_up_token_figures_before_words(chat: Chat, page: Page) -> None:
    # An answer of many tokens: what a short one gives up makes no room for more words.
    chat.use(maxtokens=40, seed=1)
    chat.send("words")
    assert len(chat.kept()[0]["turns"][1]["answers"][0]["tokens"]) > 20
    page.evaluate("() => localStorage.setItem('other', 'x')")
    room = (
        "() => { let size = 1 << 22; let text = 'x';"
        "while (size >= 64) { try { localStorage.setItem('other', text + 'x'.repeat(size));"
        "text += 'x'.repeat(size); } catch { size >>= 1; } } }"
    )
    page.evaluate(room)

    chat.send("more words")

    page.reload()
    expect(chat.said).to_have_text(["words", "more words"])
    assert chat.kept()[0]["turns"][1]["answers"][0]["tokens"] == []
