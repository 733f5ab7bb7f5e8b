"""The text on the screen of a running app, and waiting for it to say something."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from runs.paths import LabHome
from tui.app import LabApp
from tui.screens.dashboard import DashboardScreen
from tui.shell.environment import Environment
from tui.shell.glyphs import UNICODE, Glyphs
from tui.views import Opening

DEADLINE_S = 60.0
_CHAR_WIDTH = 12.2
_TEXT = re.compile(
    r'<text class="[^"]*-r\d+" x="(?P<x>[\d.]+)" y="[\d.]+" textLength="[\d.]+"'
    r' clip-path="url\(#[^)]*-line-(?P<row>\d+)\)">(?P<text>[^<]*)</text>'
)


def lab_app(root: Path, *, focus: Path | None = None, glyphs: Glyphs = UNICODE) -> LabApp:
    """Return the app on a lab home, redrawing faster than people could see."""
    environment = Environment(glyphs=glyphs, frames_per_s=50.0)
    return LabApp(Opening(home=LabHome(root), environment=environment, focus=focus))


def frame(app: LabApp) -> list[str]:
    """Return the lines of the screen as plain text."""
    rows: dict[int, str] = {}
    for match in _TEXT.finditer(app.export_screenshot()):
        row, column = int(match["row"]), round(float(match["x"]) / _CHAR_WIDTH)
        text = html.unescape(match["text"]).replace("\N{NO-BREAK SPACE}", " ")
        rows[row] = rows.get(row, "").ljust(column) + text
    return [rows.get(row, "").rstrip() for row in range(app.size.height)]


def dashboard(app: LabApp) -> DashboardScreen:
    """Return the dashboard below whatever is open."""
    return next(screen for screen in app.screen_stack if isinstance(screen, DashboardScreen))


async def until(pilot: Pilot[None], is_true: Callable[[], bool]) -> None:
    """Let the app work until something holds, or fail at the deadline with the frame."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_true():
        if time.monotonic() > deadline:
            assert isinstance(pilot.app, LabApp)
            raise AssertionError("\n".join(["not within the deadline:", *frame(pilot.app)]))
        await pilot.pause(0.02)


async def until_text(pilot: Pilot[None], app: LabApp, text: str) -> None:
    """Wait until the screen shows a text."""
    await until(pilot, lambda: any(text in line for line in frame(app)))


async def settled(pilot: Pilot[None], app: LabApp) -> None:
    """Wait until the lab home was read and the focused run is drawn."""
    await until(
        pilot,
        lambda: isinstance(app.screen, DashboardScreen) and app.screen.is_settled,
    )
    await pilot.pause()
