"""Every screen, small and large, dark and light, looks as it did when somebody last looked at it.

After a wanted change, write the snapshots anew, look at the pictures, and read the diff:

    SNAPSHOTS=write SNAPSHOT_PICTURES=DIR pytest tests/tui/test_snapshots.py
    git diff tests/tui/snapshots

The pictures are SVG files, one for each snapshot.
"""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from runs.paths import LabHome
from tests.tui.scenes import SCENES, build_home, hold_cursors, hold_still, scene_app
from tests.tui.screen_text import screen_text
from tui.app import LabApp

PLACE = Path(__file__).parent / "snapshots"
SIZES = ((80, 24), (200, 50))
THEMES = ("lab-dark", "lab-light")
STILL_S = 3.0
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHome]:
    """One lab home for all screens, in a home directory of its own."""
    root = tmp_path_factory.mktemp("person")
    with pytest.MonkeyPatch.context() as patch:
        hold_still(patch, root)
        yield build_home(root / ".labcli")
    time.tzset()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", SCENES)
async def test_a_screen_looks_as_it_did_when_it_was_reviewed(
    home: LabHome, name: str, theme: str
) -> None:
    scene = SCENES[name]
    app = scene_app(home, scene.view, theme)
    changes = []
    async with app.run_test(size=SIZES[0]) as pilot:
        is_read = await scene.play(pilot, app, home)
        hold_cursors(app)
        for width, height in SIZES:
            title = f"{name} {width}x{height} {theme}"
            if app.size != (width, height):
                await pilot.resize_terminal(width, height)
            file = PLACE / f"{title.replace(' ', '-')}.txt"
            reviewed = file.read_text(encoding="utf-8") if file.exists() else ""
            is_writing = os.environ.get("SNAPSHOTS") == "write"
            wanted = None if is_writing else reviewed
            shown = await shown_at_rest(pilot, app, title, is_read, wanted)
            keep_picture(app, file.stem)
            if is_writing:
                file.write_text(shown, encoding="utf-8")
            elif shown != reviewed:
                changes += difference(reviewed, shown, file.name)
    assert not changes, "\n".join(["differs from what was reviewed:", *changes])


async def shown_at_rest(
    pilot: Pilot[None], app: LabApp, title: str, is_read: Callable[[], bool], wanted: str | None
) -> str:
    """Return what the screen shows as soon as it is what is wanted, else once it stands still."""
    began_s = still_since_s = time.monotonic()
    shown = ""
    while time.monotonic() - still_since_s < STILL_S or not is_read():
        assert time.monotonic() - began_s < DEADLINE_S, f"{title} does not come to rest:\n{shown}"
        await pilot.pause(0.05)
        now = screen_text(app, title)
        if now == wanted:
            return now
        if now != shown:
            shown, still_since_s = now, time.monotonic()
    return shown


def difference(reviewed: str, shown: str, name: str) -> list[str]:
    """Return what has changed, line by line."""
    lines = reviewed.splitlines(), shown.splitlines()
    return list(difflib.unified_diff(*lines, f"reviewed {name}", "shown", lineterm="", n=1))


def keep_picture(app: LabApp, name: str) -> None:
    """Write the screen as a picture where pictures are wanted."""
    directory = os.environ.get("SNAPSHOT_PICTURES")
    if directory:
        Path(directory).mkdir(parents=True, exist_ok=True)
        picture = app.export_screenshot(title=name)
        (Path(directory) / f"{name}.svg").write_text(picture, encoding="utf-8")
