"""Writes pictures of the web chat as PNG files, from real answers of a model in a lab home.

python -m tests.serve.page.screenshots --home DIR --out DIR [--model RUN]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from runs.paths import LabHome, lab_home
from tests.serve.builders import start_server
from tests.serve.page.builders import PHONE, Chat, launched, new_page

DESKTOP = (1200, 760)
QUESTION = "What is 27 * 14?"
SPELLING = "Spell the word garden."


def take(browser: Browser, url: str, out: Path) -> list[Path]:
    """Write web-desktop.png, web-dark.png and web-phone.png, and return the paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"web-{name}.png" for name in ("desktop", "dark", "phone")]
    _desktop(browser, url, paths[0], color_scheme="light")
    _answers(browser, url, paths[1], color_scheme="dark")
    _phone(browser, url, paths[2], color_scheme="light")
    return paths


def _desktop(browser: Browser, url: str, path: Path, **options: Any) -> None:
    """A few conversations, one open with a tool call and the figures below it."""
    with new_page(browser, DESKTOP, reduced_motion="reduce", **options) as (page, _):
        chat = Chat(page, url).opened()
        chat.use(seed=1)
        chat.send("How many r are in strawberry?")
        chat.start("/clear")
        chat.send(SPELLING)
        chat.start("/clear")
        chat.send(QUESTION)
        chat.send("What is 12 + 30?")
        _finish(chat, path)


def _answers(browser: Browser, url: str, path: Path, **options: Any) -> None:
    """Three answers side by side, coloured by entropy, with the figures of one token."""
    with new_page(browser, DESKTOP, reduced_motion="reduce", **options) as (page, _):
        chat = Chat(page, url).opened()
        chat.use(seed=2, answers=3, temperature=1.3, entropy="on")
        chat.send("Who are you?")
        tokens = page.locator(".answer").nth(1).locator(".token")
        tokens.nth(min(2, tokens.count() - 1)).hover()
        page.locator("#tip td", has_not_text="#").first.wait_for()
        page.wait_for_load_state("networkidle")
        _finish(chat, path)


def _phone(browser: Browser, url: str, path: Path, **options: Any) -> None:
    """One conversation at the width of a phone, coloured by entropy."""
    with new_page(browser, PHONE, reduced_motion="reduce", is_mobile=True, has_touch=True,
                  **options) as (page, _):  # fmt: skip
        chat = Chat(page, url).opened()
        chat.use(seed=1, entropy="on")
        chat.send(QUESTION)
        chat.send(SPELLING)
        _finish(chat, path)


def _finish(chat: Chat, path: Path) -> None:
    chat.page.locator(".stats", has_text="context").last.wait_for()
    chat.page.screenshot(path=path)


def main() -> None:
    """Write the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description="Write PNG pictures of the web chat.")
    parser.add_argument("--home", type=Path, help="lab home; else $LABCLI_HOME or ~/.labcli")
    parser.add_argument("--out", type=Path, required=True, help="directory for the pictures")
    parser.add_argument("--model", help="RUN[:STAGE]; else the last finished run")
    options = parser.parse_args()
    home: LabHome = lab_home(options.home, os.environ)
    words = ("--model", options.model) if options.model else ()
    server = start_server(home, *words)
    try:
        server.wait_ready()
        with launched() as browser:
            take(browser, server.url, options.out)
    finally:
        server.close()


if __name__ == "__main__":
    main()
