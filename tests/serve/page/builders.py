"""Chromium and the chat page as a person uses it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

DEADLINE_MS = 60_000.0
DESKTOP = (1200, 760)
PHONE = (360, 740)
# A tab of a sandboxed machine may not make namespaces of its own.
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_chromium() -> str:
    """Return the path of the system's chromium; skips where there is none."""
    for name in NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.skip("no chromium")


@contextmanager
def launched() -> Iterator[Browser]:
    """Hold a headless browser."""
    path = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def new_page(
    browser: Browser, size: tuple[int, int] = DESKTOP, **options: Any
) -> Iterator[tuple[Page, list[str]]]:
    """Hold a page without history, and the list of what it complains about."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    context.set_default_timeout(DEADLINE_MS)
    problems: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            problems.append(message.text)

    page = context.new_page()
    page.on("console", hear)
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        yield page, problems
    finally:
        context.close()


class Chat:
    """One page; its methods are what a person does, and return when that has happened."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def opened(self, path: str = "/") -> Chat:
        """Open the page and wait until it knows the models."""
        self.page.goto(self.url + path)
        self.wait_models()
        return self

    def wait_models(self) -> None:
        """Return once the model picker is filled."""
        expect(self.page.locator("#model option[value*=':']").first).to_be_attached(
            timeout=DEADLINE_MS
        )

    @property
    def box(self) -> Locator:
        """Where messages are written."""
        return self.page.get_by_role("textbox", name="Message")

    @property
    def answers(self) -> Locator:
        """The answers on the page."""
        return self.page.locator(".answer")

    @property
    def said(self) -> Locator:
        """What the person said."""
        return self.page.locator(".said")

    def start(self, text: str) -> None:
        """Send a message, as the keyboard at hand does it."""
        self.box.fill(text)
        if self.page.evaluate("matchMedia('(pointer: coarse)').matches"):
            self.page.get_by_role("button", name="Send", exact=True).tap()
        else:
            self.box.press("Enter")

    def wait_answer(self) -> None:
        """Return once nothing is being answered."""
        expect(self.page.get_by_role("button", name="Send", exact=True)).to_be_visible(
            timeout=DEADLINE_MS
        )

    def send(self, text: str) -> str:
        """Send a message and return the text of the last answer."""
        self.start(text)
        self.wait_answer()
        return self.answers.last.locator(".body").inner_text()

    def start_endless(self) -> None:
        """Begin an answer that takes seconds: the most likely tokens of this model never end."""
        self.command("/model :mid")
        self.command("/temperature 0")
        self.start("go on")

    def command(self, line: str) -> str:
        """Give a slash command and return what is said to it."""
        self.start(line)
        return self.page.locator(".note").last.inner_text()

    def use(self, **settings: Any) -> None:
        """Give several settings by their commands, such as temperature=0."""
        for name, value in settings.items():
            self.command(f"/{name} {value}")

    def kept(self) -> list[dict[str, Any]]:
        """Return the conversations in the browser's storage."""
        texts: list[str] = self.page.evaluate(
            "() => Object.keys(localStorage).filter((key) => key.startsWith('labcli.chat.'))"
            ".map((key) => localStorage.getItem(key))"
        )
        return [json.loads(text) for text in texts]


@contextmanager
def asking(page: Page) -> Iterator[dict[str, Any]]:
    """Hold a dict that is filled with the body of the chat call made inside."""
    body: dict[str, Any] = {}
    with page.expect_request("**/v1/chat/completions") as sent:
        yield body
    body |= json.loads(sent.value.post_data or "")


def script_answer(page: Page, *chunks: dict[str, Any]) -> None:
    """Let the next answers be these chunks: a random model writes neither code nor tool calls."""
    events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    page.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(
            content_type="text/event-stream", body="".join([*events, "data: [DONE]\n\n"])
        ),
    )


def chunk(
    text: str = "", *, finish: str | None = None, token: int | None = 65, **lab: Any
) -> dict[str, Any]:
    """Return one chunk as the server writes it."""
    fields = {} if token is None else {"id": token, "is_forced": False}
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"model": "scripted:sft@1", "choices": [choice], "lab": {**fields, **lab}}


def ending() -> dict[str, Any]:
    """Return the chunk that ends an answer."""
    figures: dict[str, Any] = {"ttft_s": 0.02, "tok_per_sec": 80.0, "tokens": 5, "seed": 7}
    return chunk(finish="stop", token=None, **figures)


def probed(text: str, bits: float, top: Sequence[tuple[int, float]] = ((65, 0.9),)) -> Any:
    """Return the chunk of a token with a probe of this entropy."""
    nats = bits * 0.6931471805599453
    return chunk(text, entropy_nats=nats, surprisal_nats=0.1, rank=0, top=[list(p) for p in top])
