"""What pages of rows share: the number keys of their sections, and copying a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.binding import Binding
from textual.screen import Screen

from runs.paths import LabHome
from tui.shell.clipboard import MAX_OSC52_BYTES, keep_copy


def section_keys(names: Sequence[str], page: str) -> list[Binding]:
    """Return a number key for every section of a page."""
    return [
        Binding(
            str(number),
            f"section('{name}')",
            name.capitalize(),
            show=False,
            id=f"{page}.{name}",
            tooltip=f"Show the {name} of the {page}.",
        )
        for number, name in enumerate(names, start=1)
    ]


def offer_copy(screen: Screen[Any], home: LabHome, text: str) -> None:
    """Send a text to the terminal's clipboard, which may refuse it, and keep it in a file."""
    if not text:
        screen.notify("nothing to copy in this row", severity="warning", markup=False)
        return
    data = text.encode("utf-8", errors="replace")
    kept = keep_copy(home, data)
    if len(data) > MAX_OSC52_BYTES:
        screen.notify(f"too long for a terminal's clipboard; it is {kept}", markup=False)
        return
    screen.app.copy_to_clipboard(text)
    shown = text if len(text) <= 48 and "\n" not in text else f"{len(text):,} characters"
    screen.notify(f"sent {shown} to the clipboard, and {kept}", markup=False)
