"""What a terminal may be sent: printable text, styles where they are wanted, and cell widths."""

from __future__ import annotations

import os
import unicodedata
from functools import lru_cache
from typing import TextIO

from tui.shell.environment import read_environment
from tui.shell.glyphs import Glyphs
from tui.shell.printable import printable as printable

DIM, RESET = "\x1b[2m", "\x1b[0m"


def is_styled(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that may be sent styles and cursor movements."""
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in (None, "", "dumb")
    return stream.isatty() and not is_plain


def dim(text: str, stream: TextIO) -> str:
    """Return text that is dim where the stream shows styles."""
    return f"{DIM}{text}{RESET}" if is_styled(stream) else text


def glyphs_of(stream: TextIO) -> Glyphs:
    """Return the characters that a stream's encoding and LABCLI_ASCII allow."""
    return read_environment(os.environ, getattr(stream, "encoding", None) or "ascii").glyphs


@lru_cache(maxsize=4096)
def char_width(char: str) -> int:
    """Return the cells that a printable character takes: 0, 1 or 2."""
    if char < "\u0300":
        return 1
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def text_width(text: str) -> int:
    """Return the cells that a printable text takes."""
    return sum(map(char_width, text))


def cut(text: str, width: int, ellipsis: str) -> str:
    """Return a printable text in at most `width` cells, with an ellipsis where it was cut."""
    if text_width(text) <= width:
        return text
    room = width - text_width(ellipsis)
    kept = []
    for char in text:
        room -= char_width(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + ellipsis
