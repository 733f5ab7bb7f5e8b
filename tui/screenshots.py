"""Writes pictures of the dashboard of a lab home, live runs included, as SVG files.

python -m tui.screenshots --home DIR --out DIR [--run RUN] [--size 80x24 ...]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

from runs.errors import LabError, UsageError
from runs.paths import LabHome, lab_home
from runs.refs import resolve_run
from tui.app import LabApp
from tui.environment import FRAMES_PER_S, Environment
from tui.glyphs import UNICODE
from tui.screens.dashboard import DashboardScreen
from tui.views import Opening

SIZES = ((80, 24), (200, 50))
_LOAD_LIMIT_S = 60.0


async def picture(
    home: LabHome, size: tuple[int, int], *, focus: Path | None = None, keys: Sequence[str] = ()
) -> str:
    """Return the SVG of the dashboard at one terminal size, after pressing `keys`."""
    environment = Environment(glyphs=UNICODE, frames_per_s=FRAMES_PER_S)
    app = LabApp(Opening(home=home, environment=environment, focus=focus))
    async with app.run_test(size=size) as pilot:
        deadline = time.monotonic() + _LOAD_LIMIT_S
        while not (isinstance(app.screen, DashboardScreen) and app.screen.is_settled):
            if time.monotonic() > deadline:
                raise LabError(f"{home.root} was not read within {_LOAD_LIMIT_S:.0f} s")
            await pilot.pause(0.05)
        for key in keys:
            await pilot.press(key)
        # Two frames: the first may still be laying out what the keys have changed.
        await pilot.pause(2.0 / FRAMES_PER_S)
        return app.export_screenshot(title=f"labcli tui dashboard, {size[0]}x{size[1]}")


def write_pictures(
    home: LabHome,
    out: Path,
    *,
    sizes: Sequence[tuple[int, int]] = SIZES,
    focus: Path | None = None,
) -> list[Path]:
    """Write dashboard-WIDTHxHEIGHT.svg for each size, and return the paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for width, height in sizes:
        path = out / f"dashboard-{width}x{height}.svg"
        svg = asyncio.run(picture(home, (width, height), focus=focus))
        path.write_text(svg, encoding="utf-8")
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
    parser = argparse.ArgumentParser(description="Write SVG pictures of the dashboard.")
    parser.add_argument("--home", type=Path, help="lab home; else $LABCLI_HOME or ~/.labcli")
    parser.add_argument("--out", type=Path, required=True, help="directory for the pictures")
    parser.add_argument("--run", help="the run to show; else a running one or the newest")
    parser.add_argument("--size", type=parse_size, action="append", help="such as 80x24")
    options = parser.parse_args()
    home = lab_home(options.home, os.environ)
    focus = resolve_run(home, options.run) if options.run else None
    write_pictures(home, options.out, sizes=options.size or SIZES, focus=focus)


if __name__ == "__main__":
    main()
