"""Text that a person takes along: to a file too, since no terminal says whether it took it."""

from __future__ import annotations

from core.files import replace_file
from runs.paths import LabHome

# Terminals drop longer sequences; xterm's limit is about 100 kB, hterm's and tmux's are near it.
MAX_OSC52_BYTES = 74_000


def keep_copy(home: LabHome, data: bytes) -> str:
    """Write what was copied to a file of the lab home; return where it is, or why it is not."""
    path = home.root / "clipboard.txt"
    try:
        replace_file(path, data)
        path.chmod(0o600)
    except OSError as error:
        return f"not in {path} ({error.strerror or error})"
    return f"in {path}"
