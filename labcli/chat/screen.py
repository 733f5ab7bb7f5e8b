"""Where the pieces of an answer go: a pipe, a plain terminal, a styled one, or nowhere."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from labcli import diagnostics
from labcli.chat.markdown import Line, rows_of
from labcli.output import emit_part
from labcli.styled import Row
from labcli.terminal import dim, glyphs_of, is_styled, printable
from tui.glyphs import Glyphs

if TYPE_CHECKING:
    from core.chat_format import Part

MIN_COLUMNS = 8
ROWS_KEPT_OPEN = 2


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


class MarkdownScreen:
    """Styles an answer while it streams; only the line that grows is ever drawn again.

    Finished lines are left alone, so scrolling back shows each of them once. After a resize the
    terminal may have moved the open line's rows: they stay, and the rest of it goes beneath.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        size: Callable[[], os.terminal_size],
        glyphs: Glyphs,
    ) -> None:
        self._write = write
        self._size = size
        self._glyphs = glyphs
        self._line = Line()
        self._drawn: list[Row] = []
        self._columns = 0
        self._is_call_open = False

    def show(self, piece: Part) -> None:
        """Draw a piece; tool calls stand in the text, dim, as [code = result]."""
        text = printable(piece.text)
        if piece.type == "text":
            self._close_call()
            self._add(text)
        elif piece.type == "python":
            self._close_call()
            self._add("[" + text.replace("\n", " "), is_tool=True)
            self._is_call_open = True
        else:
            opening = " = " if self._is_call_open else "[= "
            self._is_call_open = False
            self._add(f"{opening}{text}] ".replace("\n", " "), is_tool=True)
        self._draw()

    def end(self) -> None:
        """Draw what is left and go to a new line."""
        self._close_call()
        if self._line.text:
            self._end_line()
        self._line, self._drawn = Line(), []

    def _close_call(self) -> None:
        if self._is_call_open:
            self._is_call_open = False
            self._add("] ", is_tool=True)

    def _add(self, text: str, *, is_tool: bool = False) -> None:
        for index, part in enumerate(text.split("\n")):
            if index:
                self._end_line()
            if part:
                self._line = self._line.with_text(part, is_tool=is_tool)

    def _end_line(self) -> None:
        self._draw()
        # Behind rows that were left as they are, a new row has begun already.
        if self._line.text or not self._line.is_continued:
            self._write("\n")
        is_code = self._line.is_code != self._line.is_fence
        self._line, self._drawn = Line(is_code=is_code), []

    def _draw(self) -> None:
        if not self._line.text:
            return
        columns, lines = self._size()
        columns = max(columns, MIN_COLUMNS)
        if self._drawn and columns != self._columns:
            self._leave(len(self._drawn))
        self._columns = columns
        rows = rows_of(self._line, columns, self._glyphs)
        if out := redraw([row.text for row in self._drawn], [row.text for row in rows]):
            self._write(out)
        self._drawn = rows
        if len(rows) > max(ROWS_KEPT_OPEN, lines - 2):
            # Rows that scroll off the screen can no longer be drawn again.
            self._keep_last(ROWS_KEPT_OPEN)

    def _leave(self, num_rows: int) -> None:
        """Leave the open line's rows as they are; what follows them begins on a new row."""
        self._line = self._line.rest(self._drawn[num_rows - 1].end)
        self._drawn = []
        self._write("\n")

    def _keep_last(self, num_rows: int) -> None:
        self._line = self._line.rest(self._drawn[-num_rows - 1].end)
        rows = rows_of(self._line, self._columns, self._glyphs)
        out = redraw([row.text for row in self._drawn[-num_rows:]], [row.text for row in rows])
        self._write(out)
        self._drawn = rows


def redraw(drawn: list[str], rows: list[str]) -> str:
    """Return what turns the drawn rows into `rows`; the cursor is at the end of the last."""
    if not drawn:
        return "\n".join(rows)
    pairs = zip(drawn, rows, strict=False)
    first = next((index for index, (old, new) in enumerate(pairs) if old != new), None)
    last = len(drawn) - 1
    if first is None and len(rows) >= len(drawn):
        return "".join("\n" + row for row in rows[len(drawn) :])
    first = min(len(rows) - 1, last) if first is None else first
    if first == last and rows[first].startswith(drawn[first]):
        return "\n".join([rows[first][len(drawn[first]) :], *rows[first + 1 :]])
    if first == last:
        return "\r" + "\n".join([rows[first] + "\x1b[K", *rows[first + 1 :]])
    return f"\r\x1b[{last - first}A\x1b[J" + "\n".join(rows[first:])


def pick_screen(*, is_json: bool) -> Screen:
    """Return where answers go: styled on a terminal, as they are in a pipe, nowhere for --json."""
    if is_json:
        return NoScreen()
    if is_styled(sys.stdout):
        return MarkdownScreen(emit_part, shutil.get_terminal_size, glyphs_of(sys.stdout))
    return PlainScreen()
