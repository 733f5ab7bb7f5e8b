"""Where the pieces of an answer go: a pipe, a plain terminal, a styled one, or nowhere."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Protocol

from labcli import diagnostics
from labcli.chat.markdown_screen import MarkdownScreen
from labcli.output import emit_part
from labcli.text.terminal import dim, glyphs_of, is_styled, printable

if TYPE_CHECKING:
    from core.chat_format import Part


class Screen(Protocol):
    """Shows one answer, piece by piece."""

    def show(self, piece: Part) -> None:
        """Show the next piece."""

    def end(self) -> None:
        """Finish the answer: what follows begins on a line of its own."""


class NoScreen:
    """Shows nothing: the whole answer is written at its end."""

    def show(self, piece: Part) -> None:
        """Pass over a piece."""

    def end(self) -> None:
        """Do nothing."""


class PlainScreen:
    """Writes text to stdout as it comes; tool calls are narration."""

    def show(self, piece: Part) -> None:
        """Write a piece; only a pipe gets control characters."""
        if piece.type == "text":
            emit_part(printable(piece.text) if sys.stdout.isatty() else piece.text)
        elif piece.type == "python":
            self._narrate(f"[{piece.text}")
        else:
            end = " " if sys.stderr.isatty() else "\n"
            self._narrate(f" = {piece.text}]{end}")

    def end(self) -> None:
        """End the line."""
        emit_part("\n")

    def _narrate(self, text: str) -> None:
        diagnostics.inline(dim(printable(text), sys.stderr))


def pick_screen(*, is_json: bool) -> Screen:
    """Return where answers go: styled on a terminal, as they are in a pipe, nowhere for --json."""
    if is_json:
        return NoScreen()
    if is_styled(sys.stdout):
        return MarkdownScreen(emit_part, shutil.get_terminal_size, glyphs_of(sys.stdout))
    return PlainScreen()
