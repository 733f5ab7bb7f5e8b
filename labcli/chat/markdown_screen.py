"""A styled terminal: markdown drawn while it streams."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from labcli.chat.markdown import Line, rows_of
from labcli.chat.table import Table, is_row, may_be_dashes, open_table, table_rows, widths_of
from labcli.text.styled import Row
from labcli.text.terminal import printable
from tui.shell.glyphs import Glyphs

if TYPE_CHECKING:
    from core.chat_format import Part

MIN_COLUMNS = 8
ROWS_KEPT_OPEN = 2
MAX_INDENT = 3


class MarkdownScreen:
    """Styles an answer while it streams; only the line or table that grows is ever drawn again.

    What is finished is left alone, so scrolling back shows each row once. So are the first rows
    of a table that is higher than the screen: its columns keep their widths from then on. After a
    resize the terminal may have moved the open rows: they stay, and the rest goes beneath.

    The cursor waits at the end of the last open row; behind other lines, on a new row.
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
        # The line above, if dashes would make it the header of a table.
        self._header: Line | None = None
        self._table: Table | None = None
        # The rows of the table that are left as they are; then its widths are fixed.
        self._num_left = 0
        self._widths: tuple[int, ...] | None = None
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
        self._close()
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
        if self._is_taken_by_table():
            return
        self._close()
        if self._may_be_header():
            self._header, self._line = self._line, Line()
            return
        # Behind rows that were left as they are, a new row has begun already.
        if self._line.text or not self._line.is_continued:
            self._write("\n")
        is_code = self._line.is_code != self._line.is_fence
        self._line, self._drawn = Line(is_code=is_code), []

    def _draw(self) -> None:
        if not self._line.text:
            return
        self._follow_resize()
        if self._header is not None:
            self._draw_below_header(self._header)
        elif self._table is not None:
            self._draw_row(self._table)
        if self._header is None and self._table is None:
            self._show_rows(rows_of(self._line, self._columns, self._glyphs))
            if len(self._drawn) > self._max_open:
                # Rows that scroll off the screen can no longer be drawn again.
                self._keep_last(ROWS_KEPT_OPEN)

    @property
    def _max_open(self) -> int:
        return max(ROWS_KEPT_OPEN, self._size().lines - 2)

    def _show_rows(self, rows: list[Row]) -> None:
        """Turn the open rows into these."""
        if out := redraw([row.text for row in self._drawn], [row.text for row in rows]):
            self._write(out)
        self._drawn = rows

    def _follow_resize(self) -> None:
        columns = max(self._size().columns, MIN_COLUMNS)
        if self._drawn and columns != self._columns:
            widths = widths_of(self._table, columns) if self._table is not None else None
            if self._table is not None and widths is not None:
                self._num_left, self._widths = len(self._table.rows), widths
                self._drawn = []
                self._write("\n")
            elif self._header is not None or self._table is not None:
                self._close()
            else:
                self._leave(len(self._drawn))
        self._columns = columns

    def _draw_below_header(self, header: Line) -> None:
        """Draw a line that may yet make a table of the one above; leave that alone otherwise."""
        if self._is_undecided():
            return
        above = rows_of(header, self._columns, self._glyphs)
        rows = [*above, *rows_of(self._line, self._columns, self._glyphs)]
        if may_be_dashes(self._line.text) and len(rows) <= self._max_open:
            self._show_rows(rows)
        elif len(self._drawn) > len(above):
            self._leave_header(len(above))
        else:
            self._close()

    def _draw_row(self, table: Table) -> None:
        """Draw the table with the row that grows; another line closes it."""
        if self._is_undecided():
            return
        if not is_row(self._line.text):
            self._close()
            return
        rows = self._rows_of(table.with_row(self._line.text))
        # A row that makes the table too high is drawn when it is complete.
        if len(rows) <= self._max_open:
            self._show_rows(rows)

    def _is_undecided(self) -> bool:
        """Whether the open line has not shown yet if it belongs to a table."""
        return not self._line.text.strip() and len(self._line.text) <= MAX_INDENT

    def _may_be_header(self) -> bool:
        line = self._line
        is_plain = not (line.is_code or line.is_continued or line.tools)
        return is_plain and is_row(line.text) and len(self._drawn) <= self._max_open

    def _rows_of(self, table: Table) -> list[Row]:
        widths = self._widths or widths_of(table, self._columns)
        assert widths is not None, "a table is opened and resized only where it has room"
        return table_rows(table, widths, self._glyphs, first=self._num_left)

    def _is_taken_by_table(self) -> bool:
        """Put the line that has ended into the table, if there is one or it makes one."""
        if not self._line.text.strip():
            return False
        if self._header is not None:
            table = open_table(self._header.text, self._line.text)
            has_room = table is not None and widths_of(table, self._columns) is not None
            if table is None or not has_room or len(self._rows_of(table)) > self._max_open:
                self._leave_header(len(rows_of(self._header, self._columns, self._glyphs)))
                return False
            self._header = None
        elif self._table is not None:
            table = self._table.with_row(self._line.text)
            if len(self._rows_of(table)) > self._max_open:
                self._leave_rows(self._table)
        else:
            return False
        self._table, self._line = table, Line()
        self._show_rows(self._rows_of(table))
        return True

    def _close(self) -> None:
        """Leave what is open above the line as it is; the line begins on a new row."""
        if self._header is None and self._table is None:
            return
        self._header, self._table, self._num_left, self._widths = None, None, 0, None
        self._drawn = []
        self._write("\n")

    def _leave_header(self, num_rows: int) -> None:
        """Leave a line that is no header as it is; the line below it stays open."""
        self._header = None
        self._drawn = self._drawn[num_rows:]

    def _leave_rows(self, table: Table) -> None:
        """Leave the rows of a table as they are; the next begins on a new row."""
        if self._num_left == len(table.rows):
            return
        self._show_rows(self._rows_of(table))
        self._widths = self._widths or widths_of(table, self._columns)
        self._num_left = len(table.rows)
        self._drawn = []
        self._write("\n")

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
