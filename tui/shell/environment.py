"""What the terminal and the connection allow, read once when the app starts."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tui.shell.glyphs import ASCII, UNICODE, Glyphs

# A full redraw of four braille charts is 10 to 25 KB, which a thin SSH link feels at 10 fps.
FRAMES_PER_S = 10.0
FRAMES_PER_S_OVER_SSH = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The glyphs to draw with, the fastest redraw, and whether a browser can be opened."""

    glyphs: Glyphs
    frames_per_s: float
    has_browser: bool = False


def read_environment(env: Mapping[str, str], encoding: str) -> Environment:
    """Return what `env` and the output encoding allow; LABCLI_ASCII=1 asks for ASCII."""
    wants_ascii = env.get("LABCLI_ASCII", "") not in ("", "0") or not is_utf8(encoding)
    return Environment(
        glyphs=ASCII if wants_ascii else UNICODE,
        frames_per_s=FRAMES_PER_S_OVER_SSH if env.get("SSH_CONNECTION") else FRAMES_PER_S,
        has_browser=_has_desktop(env) and not env.get("SSH_CONNECTION"),
    )


def _has_desktop(env: Mapping[str, str]) -> bool:
    # A browser without one draws in the terminal, over the app.
    return sys.platform == "darwin" or bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def is_utf8(encoding: str) -> bool:
    """Return whether an encoding, by any of its names, is UTF-8."""
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False
