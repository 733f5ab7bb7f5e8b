"""Writes pictures of the views of the terminal app, live runs included, as SVG files.

python -m tests.tui.screenshots --home DIR --out DIR [--view NAME ...] [--size 80x24 ...]
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
from tui.screens.dashboard import DashboardScreen
from tui.screens.selfchat import SelfchatScreen
from tui.shell.environment import FRAMES_PER_S, Environment
from tui.shell.glyphs import UNICODE
from tui.views import Opening

SIZES = ((80, 24), (200, 50))
# A first answer waits for the server to load its model.
_LIMIT_S = 120.0
_STILL_S = 3.0
_MARKUP = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What is typed into a view before its picture is taken; keys are pressed after the text."""

    view: str
    text: str = ""
    keys: tuple[str, ...] = ()


SHOTS = (
    Shot(view="dashboard"),
    Shot(view="playground", keys=("tab", "right", "right", "right")),
    Shot(view="arena", text="What does os.path.join do?", keys=("enter",)),
    Shot(view="selfchat", keys=("enter", "right", "right", "right")),
    Shot(view="chat", text="Spell the word garden.", keys=("enter",)),
)


async def picture(open_lab: Callable[[], Opening], shot: Shot, size: tuple[int, int]) -> str:
    """Return the SVG of a view at one terminal size, once nothing on it changes any more."""
    app = LabApp(open_lab(), view=shot.view)
    async with app.run_test(size=size) as pilot:
        await _until_still(pilot, lambda: _is_read(app))
        await pilot.press(*shot.text, *shot.keys)
        await _until_still(pilot, lambda: True)
        return app.export_screenshot(title=f"labcli tui {shot.view}, {size[0]}x{size[1]}")


def _is_read(app: LabApp) -> bool:
    screen = app.screen
    return screen.is_settled if isinstance(screen, DashboardScreen | SelfchatScreen) else True


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
) -> list[Path]:
    """Write VIEW-WIDTHxHEIGHT.svg for each view and size, and return the paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for shot in shots:
        for width, height in sizes:
            path = out / f"{shot.view}-{width}x{height}.svg"
            path.write_text(asyncio.run(picture(open_lab, shot, (width, height))), encoding="utf-8")
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
    parser.add_argument("--model", action="append", default=[], help="models of arena and chat")
    parser.add_argument("--tokenizer", action="append", default=[], help="of the playground")
    parser.add_argument("--view", action="append", choices=[shot.view for shot in SHOTS])
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

    shots = [shot for shot in SHOTS if options.view is None or shot.view in options.view]
    write_pictures(open_lab, options.out, shots=shots, sizes=options.size or SIZES)


if __name__ == "__main__":
    main()
