"""Writes pictures of commands on a terminal as SVG files, from the runs of a lab home.

python -m tests.cli.screenshots --home DIR --out DIR --run SELFCHAT [--model REF ...]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from runs.paths import LabHome, lab_home
from tests.cli.keyboard import Keyboard

WIDTH = 100


def picture(words: Sequence[str], home: LabHome, *, num_lines: int) -> str:
    """Return the first lines that a command writes to a terminal as an SVG."""
    with Keyboard(home, *words, columns=WIDTH, lines=num_lines) as terminal:
        code = terminal.wait_for_exit()
        shown = terminal.shown.replace("\r\n", "\n")
    if code != 0:
        raise SystemExit(f"labcli {' '.join(words)} failed with exit code {code}: {shown}")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        text = "\n".join(shown.split("\n")[:num_lines])
        console.print(Text.from_ansi(text), no_wrap=True, crop=True)
        return console.export_svg(title=f"labcli {' '.join(words)}", theme=MONOKAI)


def main() -> None:
    """Write the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description="Write SVG pictures of commands.")
    parser.add_argument("--home", type=Path, required=True, help="lab home")
    parser.add_argument("--out", type=Path, required=True, help="directory for the pictures")
    parser.add_argument("--run", required=True, help="a finished self-chat")
    parser.add_argument("--model", action="append", default=[], help="models of the vibe test")
    options = parser.parse_args()
    models = [word for model in options.model for word in ("--model", model)]
    shots = {
        "selfchat": (["selfchat", "--show", options.run], 44),
        "selfchat-conversation": (["selfchat", "--show", options.run, "--conversation", "0"], 40),
        "vibe": (["compare", "--vibe", *models], 50),
    }
    home = lab_home(options.home, os.environ)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, (words, num_lines) in shots.items():
        svg = picture(words, home, num_lines=num_lines)
        (options.out / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
