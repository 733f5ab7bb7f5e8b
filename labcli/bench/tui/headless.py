"""The playground without a terminal, in this process: what a key takes of the processor."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from runs.errors import LabError
from runs.paths import LabHome

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from tui.screens.playground import PlaygroundScreen

DEADLINE_S = 60.0
POLL_S, FOLLOWING_S = 0.001, 0.2


def playground_cpu_s(home: LabHome, path: Path, keys: str) -> list[float]:
    """Return the processor time that each key takes until its tokens are drawn."""
    return asyncio.run(_measure(home, path, keys))


async def _measure(home: LabHome, path: Path, keys: str) -> list[float]:
    from textual.events import Key

    from labcli.tok.catalogue import vocabularies
    from tui.app import LabApp
    from tui.screens.playground import PlaygroundScreen
    from tui.shell.environment import Environment
    from tui.shell.glyphs import UNICODE
    from tui.views import Opening

    opening = Opening(
        home=home,
        environment=Environment(glyphs=UNICODE, frames_per_s=10.0),
        vocabularies=vocabularies(home),
        tokenizers=("bench",),
        file=path,
    )
    app = LabApp(opening, view="playground")
    async with app.run_test(size=(200, 50)) as pilot:
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, PlaygroundScreen)
        num_chars = len(path.read_text(encoding="utf-8"))
        await _until_shown(pilot, screen, num_chars)
        times = []
        for place, key in enumerate(keys, start=1):
            began_s = time.process_time()
            app.post_message(Key(key, key))
            await _until_drawn(screen, num_chars + place)
            times.append(time.process_time() - began_s)
            # What follows when nothing more is typed is not the key's.
            await pilot.pause(FOLLOWING_S)
    return times


async def _until_drawn(screen: PlaygroundScreen, num_chars: int) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not (screen.look and screen.look.num_chars == num_chars):
        if time.monotonic() > deadline_s:
            raise LabError(f"the playground did not take {num_chars:,} characters")
        await asyncio.sleep(POLL_S)
    is_drawn = asyncio.Event()
    screen.call_after_refresh(is_drawn.set)
    await is_drawn.wait()


async def _until_shown(pilot: Pilot[None], screen: PlaygroundScreen, num_chars: int) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not (screen.is_settled and screen.look and screen.look.num_chars == num_chars):
        if time.monotonic() > deadline_s:
            raise LabError(f"the playground did not show {num_chars:,} characters")
        await pilot.pause(0.02)
