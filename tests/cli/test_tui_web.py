"""A view of the terminal app in a browser: on this machine alone, one app per page."""

from __future__ import annotations

import http.client
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Browser, Page, WebSocket

from core.serve.listen import listen_tcp
from labcli.browser.web_server import is_own
from runs.errors import ExitCode
from runs.paths import LabHome
from tests.builders import build_finished_run
from tests.cli.conftest import Labcli
from tests.runs.builders import wait_for
from tests.serve.page.builders import launched

DEADLINE_S = 60.0


@dataclass
class Served:
    """A running `labcli tui ... --serve`."""

    process: subprocess.Popen[str]
    url: str
    line: str

    def apps(self) -> list[psutil.Process]:
        """Return the apps that pages have open."""
        return psutil.Process(self.process.pid).children()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Per module: while Playwright's synchronous form is open no test may run an event loop.
    with launched() as started:
        yield started


@pytest.fixture
def served(home: LabHome) -> Iterator[Served]:
    build_finished_run(home, name="seen-from-afar")
    process = subprocess.Popen(
        [sys.executable, "-m", "labcli.app", "tui", "dashboard", "--serve", "--port", "0"],
        env={**os.environ, "LABCLI_HOME": str(home.root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    url = next((word for word in line.split() if word.startswith("http")), "")
    try:
        yield Served(process, url, line)
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()
        process.stderr.close()


def test_a_browser_shows_the_dashboard_and_drives_it_and_nobody_else_may(
    browser: Browser, served: Served
) -> None:
    assert served.line.startswith("labcli tui dashboard at http://127.0.0.1:")
    address = urlsplit(served.url)
    assert address.port is not None
    wait_for(lambda: _answers(address.port or 0), "the server", deadline_s=DEADLINE_S)
    page = browser.new_context(viewport={"width": 1200, "height": 760}).new_page()
    heard = bytearray()
    asked: list[str] = []

    def listen(socket: WebSocket) -> None:
        def take(data: str | bytes) -> None:
            heard.extend(data if isinstance(data, bytes) else data.encode())

        socket.on("framereceived", take)

    page.on("websocket", listen)
    page.on("request", lambda request: asked.append(urlsplit(request.url).hostname or ""))
    page.goto(served.url)

    def shows(text: bytes) -> bool:
        return _pump(page) and text in heard

    page.locator(".xterm").first.wait_for(state="visible", timeout=DEADLINE_S * 1000)
    wait_for(lambda: shows(b"seen-from-afar"), "the run on the page", deadline_s=DEADLINE_S)
    assert set(asked) <= {"127.0.0.1", ""}
    (app,) = served.apps()
    page.locator("textarea").first.press("F1")
    wait_for(lambda: shows(b"The runs of this lab home"), "the help", deadline_s=DEADLINE_S)
    for headers in (
        {"Host": f"evil.example:{address.port}"},
        {"Origin": "http://evil.example"},
        {"Origin": f"http://127.0.0.1:{address.port + 1}"},
    ):
        assert _status(address.port, headers) == 403
    page.close()
    wait_for(lambda: not app.is_running(), "the app to end with its page", deadline_s=DEADLINE_S)
    page = browser.new_page()
    page.goto(served.url)
    wait_for(lambda: _pump(page) and served.apps(), "a second app")
    (app,) = served.apps()
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(DEADLINE_S) == ExitCode.INTERRUPTED
    wait_for(lambda: not app.is_running(), "the app to end with the server", deadline_s=DEADLINE_S)
    page.close()


def test_serving_is_refused_where_others_could_reach_it_or_cannot_be_done(
    labcli: Labcli, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all = labcli("tui", "--serve", "--host", "0.0.0.0")
    assert open_to_all.code == ExitCode.USAGE
    assert "no password" in open_to_all.err and "ssh -L" in open_to_all.err
    with listen_tcp("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        busy = labcli("tui", "playground", "--serve", "--port", port)
        assert busy.code == ExitCode.BUSY and "taken" in busy.err
    misplaced = labcli("tui", "--serve", "chat")
    assert misplaced.code == ExitCode.USAGE and "labcli tui chat --serve" in misplaced.err
    find_spec = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> object:
        return None if name == "textual_serve" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    missing = labcli("tui", "arena", "--serve")
    assert missing.code == ExitCode.USAGE and "uv sync --extra web" in missing.err
    for result in (open_to_all, busy, misplaced, missing):
        assert (result.out, len(result.err.splitlines())) == ("", 1)


@pytest.mark.parametrize(
    ("address", "is_ours"),
    [
        ("http://127.0.0.1:8001", True),
        ("http://localhost:8001", True),
        ("//[::1]:8001", True),
        ("http://localhost:8002", False),
        ("http://127.0.0.1.evil.example:8001", False),
        ("null", False),
        ("//127.0.0.1:port", False),
    ],
)
def test_only_this_machine_and_port_are_this_server(address: str, is_ours: bool) -> None:
    assert is_own(address, 8001) is is_ours


def _pump(page: Page) -> bool:
    """Let the page work for a moment."""
    page.wait_for_timeout(50)
    return True


def _answers(port: int) -> bool:
    try:
        return _status(port, {}) == 200
    except OSError:
        return False


def _status(port: int, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        connection.request("GET", "/", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
