"""A browser, and the chat page of a real server in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.serve.builders import Server
from tests.serve.page.builders import Chat, launched, new_page


# Per module: while Playwright's synchronous form is open no other test may run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with an empty storage; the test fails when it logs an error."""
    with new_page(browser) as (page, problems):
        yield page
        assert problems == []


@pytest.fixture
def chat(page: Page, server: Server) -> Chat:
    return Chat(page, server.url).opened()
