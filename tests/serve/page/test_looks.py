"""Sizes, colours and motion: phone width, contrast in both themes, reduced motion."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.serve.builders import Server
from tests.serve.page.builders import (
    DESKTOP,
    PHONE,
    Chat,
    chunk,
    ending,
    new_page,
    probed,
    script_answer,
)

LONG = "unbroken" * 40
# WCAG 2.2, 1.4.3: 4.5 for text, 3 for large text.
POOR_CONTRAST = """() => {
  const rgba = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const behind = (node) => { for (; node; node = node.parentElement) {
    const back = rgba(getComputedStyle(node).backgroundColor); if (back[3] === 1) return back; } return [255, 255, 255]; };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName)) continue;
    if (!node.checkVisibility({visibilityProperty: true}) || node.closest(".sr")) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(rgba(style.color)), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) poor.push(`${walker.currentNode.data.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""  # noqa: E501
OVERFLOWING = (
    "() => document.documentElement.scrollWidth > innerWidth"
    " || document.getElementById('log').scrollWidth > document.getElementById('log').clientWidth"
)


def filled(page: Page, url: str) -> Chat:
    """Return a page that shows every kind of thing a conversation can hold."""
    chat = Chat(page, url).opened()
    parts = [{"type": "python", "text": "27*14"}]
    code = chunk(f"**bold** `code`\n\n- item\n\n```\n{LONG}\n```\n{LONG}")
    words = (probed(f"word{level} ", level + 0.5) for level in range(6))
    script_answer(page, *words, chunk(parts=parts), code, ending())
    chat.send(LONG)
    chat.send("short")
    chat.command("/nonsense")
    return chat


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("has_entropy", ["off", "on"])
def test_text_has_enough_contrast(
    browser: Browser, server: Server, scheme: str, has_entropy: str
) -> None:
    with new_page(browser, DESKTOP, color_scheme=scheme, reduced_motion="reduce") as (page, _):
        chat = filled(page, server.url)
        chat.command(f"/entropy {has_entropy}")
        if has_entropy == "on":
            page.locator(".token").last.hover()
            expect(page.get_by_role("tooltip")).to_be_visible()

        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert page.evaluate(POOR_CONTRAST) == []
        page.get_by_role("button", name="Settings").click()
        page.get_by_label("Temperature").fill("wrong")
        assert page.evaluate(POOR_CONTRAST) == []


def test_theme_follows_the_system_until_one_is_chosen(browser: Browser, server: Server) -> None:
    theme = "document.documentElement.dataset.theme"
    with new_page(browser, color_scheme="dark") as (page, _):
        Chat(page, server.url).opened()
        assert page.evaluate(theme) == "dark"
        page.emulate_media(color_scheme="light")
        page.wait_for_function(f"() => {theme} === 'light'")
        button = page.get_by_role("button", name="Theme")
        button.click()
        button.click()
        expect(button).to_have_text("Theme: dark")
        page.reload()
        assert page.evaluate(theme) == "dark"


@pytest.mark.parametrize("width", [PHONE[0], 320])
def test_phone_needs_no_sideways_scrolling(browser: Browser, server: Server, width: int) -> None:
    with new_page(browser, (width, PHONE[1]), has_touch=True, is_mobile=True) as (page, _):
        chat = filled(page, server.url)
        assert page.evaluate(OVERFLOWING) is False
        chat.command("/entropy on")
        assert page.evaluate(OVERFLOWING) is False
        page.get_by_label("Answers").select_option("4")
        page.unroute("**/v1/chat/completions")
        chat.use(maxtokens=6)
        chat.start("/clear")
        chat.send("several")
        assert page.evaluate(OVERFLOWING) is False
        page.get_by_role("button", name="Settings").click()
        assert page.evaluate(OVERFLOWING) is False


def test_phone_opens_conversations_as_a_drawer(browser: Browser, server: Server) -> None:
    with new_page(browser, PHONE, has_touch=True, is_mobile=True) as (page, problems):
        chat = Chat(page, server.url).opened()
        chat.use(maxtokens=4)
        chat.send("from a phone")
        drawer = page.get_by_role("navigation", name="Conversations")
        expect(drawer).to_be_hidden()

        page.get_by_role("button", name="Chats").tap()
        expect(drawer).to_be_visible()
        page.get_by_role("button", name="New chat").tap()

        expect(drawer).to_be_hidden()
        expect(chat.said).to_have_count(0)
        assert problems == []


def test_enter_begins_a_line_on_a_touch_keyboard(browser: Browser, server: Server) -> None:
    with new_page(browser, PHONE, has_touch=True, is_mobile=True) as (page, _):
        chat = Chat(page, server.url).opened()
        chat.box.fill("one")
        chat.box.press("Enter")
        expect(chat.box).to_have_value("one\n")


def test_nothing_moves_when_motion_is_reduced(browser: Browser, server: Server) -> None:
    with new_page(browser, reduced_motion="reduce") as (page, _):
        chat = Chat(page, server.url).opened()
        chat.command("/model :mid")
        chat.start("go on")
        expect(page.locator(".waiting")).to_have_count(1)
        assert page.evaluate("document.getAnimations().length") == 0
        page.keyboard.press("Escape")
