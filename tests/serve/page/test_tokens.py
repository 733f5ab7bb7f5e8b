"""The entropy view: levels, legend, tips, and its use without a mouse."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Route, expect

from tests.serve.page.builders import Chat, ending, probed, script_answer

LINE_PX = "(span) => parseFloat(getComputedStyle(span).textDecorationThickness)"


def lend_tokenizer(chat: Chat) -> None:
    """Let the tokens of the scripted model, which is in no server, be those of a real one."""

    def ask_default(route: Route) -> None:
        body = json.loads(route.request.post_data or "")
        route.continue_(post_data={"ids": body["ids"]})

    chat.page.route("**/detokenize", ask_default)


def test_levels_differ_in_colour_and_in_the_thickness_of_the_line(chat: Chat) -> None:
    script_answer(chat.page, *(probed(f"w{bits} ", bits + 0.5) for bits in range(6)), ending())
    chat.send("show")
    chat.page.get_by_role("button", name="Entropy").click()

    tokens = chat.page.locator(".token")
    classes = [str(token.get_attribute("class")).split()[1] for token in tokens.all()]
    assert classes == ["e0", "e1", "e2", "e3", "e4", "e4"]
    lines = [token.evaluate(LINE_PX) for token in tokens.all()[1:5]]
    assert lines == sorted(set(lines))
    shades = {t.evaluate("(t) => getComputedStyle(t).backgroundColor") for t in tokens.all()[:5]}
    assert len(shades) == 5
    expect(chat.page.locator(".legend")).to_contain_text("4 bits and more")
    expect(chat.page.get_by_role("button", name="Entropy")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_tokens_together_are_the_answer(chat: Chat) -> None:
    chat.use(maxtokens=60, seed=3)
    chat.send("show")
    chat.command("/entropy on")

    parts = chat.kept()[0]["turns"][1]["answers"][0]["parts"]
    whole = "".join(part["text"] for part in parts)
    shown = "".join(str(text) for text in chat.page.locator(".token").all_text_contents())
    assert shown == whole


def test_view_colours_tokens_while_they_arrive(chat: Chat) -> None:
    chat.command("/entropy on")
    chat.start_endless()

    expect(chat.page.locator(".token").nth(30)).to_be_visible()
    expect(chat.page.get_by_role("button", name="Stop")).to_be_visible()
    chat.page.keyboard.press("Escape")
    chat.wait_answer()


def test_pointing_at_a_token_shows_its_figures_and_alternatives(chat: Chat) -> None:
    top = [(ord("q"), 0.5), (ord("z"), 0.25), (ord("\n"), 0.0001)]
    script_answer(chat.page, probed("q", 2.0, top), probed("w", 0.1, top), ending())
    lend_tokenizer(chat)
    chat.send("show")
    chat.command("/entropy on")

    chat.page.locator(".token").first.hover()

    tip = chat.page.get_by_role("tooltip")
    expect(tip).to_contain_text("Entropy 2.00 bits")
    expect(tip).to_contain_text("rank 1, surprisal 0.14 bits")
    expect(tip.locator("td:first-child")).to_have_text(["q", "z", "\\n"])
    expect(tip.locator("td.number")).to_have_text(["50\u00a0%", "25\u00a0%", "0.010\u00a0%"])
    chat.page.mouse.move(0, 0)
    expect(tip).to_be_hidden()


def test_arrow_keys_move_through_the_tokens(chat: Chat) -> None:
    script_answer(chat.page, *(probed(word, 1.5) for word in ("one", " two", " three")), ending())
    lend_tokenizer(chat)
    chat.send("show")
    chat.command("/entropy on")
    tokens = chat.page.locator(".token")

    tokens.first.focus()
    chat.page.keyboard.press("ArrowRight")
    expect(tokens.nth(1)).to_be_focused()
    expect(chat.page.get_by_role("tooltip")).to_contain_text('" two"')
    chat.page.keyboard.press("End")
    expect(tokens.nth(2)).to_be_focused()
    chat.page.keyboard.press("Escape")
    expect(chat.page.get_by_role("tooltip")).to_be_hidden()
    assert tokens.nth(2).get_attribute("aria-label") == " three, 1.5 bits"
    # One stop of the Tab key for the whole answer, not one per token.
    assert chat.page.locator(".token[tabindex='0']").count() == 1


def test_figures_survive_a_reload(chat: Chat) -> None:
    chat.use(maxtokens=8, seed=3)
    chat.send("show")
    chat.command("/entropy on")
    count = chat.page.locator(".token").count()

    chat.page.reload()

    expect(chat.page.locator(".token")).to_have_count(count)
    expect(chat.page.locator(".stats")).to_contain_text(re.compile("mean entropy .* seed 3"))
