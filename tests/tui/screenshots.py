"""Writes pictures of every screen of the terminal app, live runs included, as SVG files.

python -m tests.tui.screenshots --home DIR --out DIR [--screen NAME ...] [--size 80x24 ...]

The comparison is of the runs that --mark names.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from labcli.tok.catalogue import vocabularies
from runs.errors import LabError, UsageError
from runs.paths import lab_home
from runs.refs import resolve_run
from tui.app import LabApp
from tui.screens.arena import ArenaScreen
from tui.screens.chat import ChatScreen
from tui.screens.dashboard import DashboardScreen
from tui.screens.selfchat import SelfchatScreen
from tui.shell.environment import FRAMES_PER_S, Environment
from tui.shell.glyphs import UNICODE
from tui.views import Opening
from tui.widgets.runs_table import RunsTable

SIZES = ((80, 24), (200, 50))
# A first answer waits for the server to load its model.
_LIMIT_S = 120.0
_STILL_S = 3.0
_MARKUP = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A screen: the view that it lies over, the keys that open it, and what is typed there.

    opens: pressed first; then each of `texts` is typed, and `keys` are pressed behind it.
    of_marked: whether it is of the runs that were marked.
    """

    name: str
    view: str
    opens: tuple[str, ...] = ()
    texts: tuple[str, ...] = ("",)
    keys: tuple[str, ...] = ()
    of_marked: bool = False


SHOTS = (
    Shot(name="dashboard", view="dashboard"),
    Shot(name="run", view="dashboard", opens=("o",)),
    Shot(name="compare", view="dashboard", opens=("c",), of_marked=True),
    Shot(
        name="launch",
        view="dashboard",
        opens=("n", "ctrl+t"),
        texts=("base.depth=6",),
        keys=("enter",),
    ),
    Shot(name="playground", view="playground", keys=("tab", "right", "right", "right")),
    Shot(name="arena", view="arena", texts=("Who are you?",), keys=("enter",)),
    Shot(name="selfchat", view="selfchat", keys=("enter", "right", "right", "right")),
    Shot(
        name="chat",
        view="chat",
        texts=("Who are you?", "What is 27 * 14?", "Spell the word teacher."),
        keys=("enter",),
    ),
)


async def picture(
    open_lab: Callable[[], Opening],
    shot: Shot,
    size: tuple[int, int],
    marked: Sequence[Path] = (),
) -> str:
    """Return the SVG of a screen at one terminal size, once nothing on it changes any more."""
    app = LabApp(open_lab(), view=shot.view)
    async with app.run_test(size=size) as pilot:
        await _until_still(pilot, lambda: _is_read(app))
        if shot.of_marked:
            for path in marked:
                app.screen.query_one(RunsTable).post_message(RunsTable.MarkToggled(path))
        if shot.opens:
            await pilot.press(*shot.opens)
            await _until_still(pilot, lambda: True)
        for text in shot.texts:
            await pilot.press(*text, *shot.keys)
            await _until_still(pilot, lambda: _is_answered(app))
        return app.export_screenshot(title=f"labcli tui, {shot.name}, {size[0]}x{size[1]}")


def _is_read(app: LabApp) -> bool:
    screen = app.screen
    return screen.is_settled if isinstance(screen, DashboardScreen | SelfchatScreen) else True


def _is_answered(app: LabApp) -> bool:
    screen = app.screen
    if isinstance(screen, ArenaScreen):
        return not any(lane.is_at_work for lane in screen.lanes)
    return not (isinstance(screen, ChatScreen) and screen.talk.is_at_work)


async def _until_still(pilot: Pilot[None], is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LIMIT_S
    last, still_since_s = "", time.monotonic()
    while not is_ready() or time.monotonic() - still_since_s < _STILL_S:
        if time.monotonic() > deadline:
            raise LabError(f"the view was not drawn to its end within {_LIMIT_S:.0f} s")
        await pilot.pause(0.1)
        # Its text alone: a cursor goes on blinking.
        words = _MARKUP.sub("", pilot.app.export_screenshot())
        if words != last:
            last, still_since_s = words, time.monotonic()


def write_pictures(
    open_lab: Callable[[], Opening],
    out: Path,
    *,
    shots: Sequence[Shot] = SHOTS,
    sizes: Sequence[tuple[int, int]] = SIZES,
    marked: Sequence[Path] = (),
) -> list[Path]:
    """Write SCREEN-WIDTHxHEIGHT.svg for each screen and size, and return the paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for shot in shots:
        for width, height in sizes:
            path = out / f"{shot.name}-{width}x{height}.svg"
            drawn = asyncio.run(picture(open_lab, shot, (width, height), marked))
            path.write_text(drawn, encoding="utf-8")
            paths.append(path)
    return paths


def parse_size(text: str) -> tuple[int, int]:
    """Return "80x24" as two numbers."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"{text!r} is not a terminal size such as 80x24")
    return int(width), int(height)


def main() -> None:
    """Write the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description="Write SVG pictures of the terminal app.")
    parser.add_argument("--home", type=Path, help="lab home; else $LABCLI_HOME or ~/.labcli")
    parser.add_argument("--out", type=Path, required=True, help="directory for the pictures")
    parser.add_argument("--run", help="the run to show; else a running one or the newest")
    parser.add_argument("--mark", action="append", default=[], help="the runs to compare")
    parser.add_argument("--model", action="append", default=[], help="models of arena and chat")
    parser.add_argument("--tokenizer", action="append", default=[], help="of the playground")
    parser.add_argument("--screen", action="append", choices=[shot.name for shot in SHOTS])
    parser.add_argument("--size", type=parse_size, action="append", help="such as 80x24")
    options = parser.parse_args()
    home = lab_home(options.home, os.environ)

    def open_lab() -> Opening:
        # Each app ends what it was given, such as the server of its models.
        return Opening(
            home=home,
            environment=Environment(glyphs=UNICODE, frames_per_s=FRAMES_PER_S),
            focus=resolve_run(home, options.run) if options.run else None,
            models=tuple(options.model),
            tokenizers=tuple(options.tokenizer),
            vocabularies=vocabularies(home),
        )

    shots = [shot for shot in SHOTS if options.screen is None or shot.name in options.screen]
    marked = [resolve_run(home, reference) for reference in options.mark]
    sizes = options.size or SIZES
    write_pictures(open_lab, options.out, shots=shots, sizes=sizes, marked=marked)


if __name__ == "__main__":
    main()
