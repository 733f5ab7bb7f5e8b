"""Text that a person takes along: to a file too, since no terminal says whether it took it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.files import replace_file
from runs.paths import LabHome

if TYPE_CHECKING:
    # The chat in the command line copies too, and draws nothing.
    from textual.screen import Screen

# Terminals drop longer sequences; xterm's limit is about 100 kB, hterm's and tmux's are near it.
MAX_OSC52_BYTES = 74_000
MAX_SHOWN_CHARS = 48


def offer_copy(
    screen: Screen[Any], home: LabHome, text: str, *, nothing: str = "there is nothing to copy"
) -> None:
    """Send a text to the terminal's clipboard, which may refuse it, and keep it in a file.

    nothing: what is said where the text is empty.
    """
    if not text:
        screen.notify(nothing, severity="warning", markup=False)
        return
    data = text.encode("utf-8", errors="replace")
    kept = keep_copy(home, data)
    if len(data) > MAX_OSC52_BYTES:
        screen.notify(f"too long for a terminal's clipboard; it is {kept}", markup=False)
        return
    screen.app.copy_to_clipboard(text)
    is_short = len(text) <= MAX_SHOWN_CHARS and "\n" not in text
    shown = text if is_short else f"{len(text):,} characters"
    screen.notify(f"sent {shown} to the terminal's clipboard, and {kept}", markup=False)


def keep_copy(home: LabHome, data: bytes) -> str:
    """Write what was copied to a file of the lab home; return where it is, or why it is not."""
    path = home.root / "clipboard.txt"
    try:
        replace_file(path, data)
        path.chmod(0o600)
    except OSError as error:
        return f"not in {path} ({error.strerror or error})"
    return f"in {path}"
