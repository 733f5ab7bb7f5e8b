"""One line of markdown as styled rows of a terminal. Pure functions, made for streaming.

A line is styled as a whole and may be styled again when it has grown: a marker counts only when
its partner is there. Every cell remembers where in the line it came from, so that a row can be
left as it is and the rest of the line goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from typing import NamedTuple

from labcli.terminal import RESET, char_width
from tui.glyphs import Glyphs

TAB = "    "
RULE_CELLS = 24


class Style(IntFlag):
    """What a cell may look like; styles add up."""

    PLAIN = 0
    BOLD = 1
    DIM = 2
    ITALIC = 4
    UNDERLINE = 8
    CODE = 16


_SGR = {
    Style.BOLD: "1",
    Style.DIM: "2",
    Style.ITALIC: "3",
    Style.UNDERLINE: "4",
    Style.CODE: "36",
}


class Cell(NamedTuple):
    """A character to show; `end` is where the line's text goes on behind it."""

    char: str
    style: Style
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the terminal with its escape sequences; `end` as in Cell."""

    text: str
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of an answer, complete or growing; tools are the ranges that are tool calls.

    is_code: it lies between the fences of a code block.
    is_continued: its beginning has been drawn, so it opens no heading or list.
    """

    text: str = ""
    tools: tuple[tuple[int, int], ...] = ()
    is_code: bool = False
    is_continued: bool = False

    def with_text(self, text: str, *, is_tool: bool) -> Line:
        """Return the line with more text at its end."""
        start = len(self.text)
        text = text.replace("\t", TAB)
        tools = (*self.tools, (start, start + len(text))) if is_tool else self.tools
        return replace(self, text=self.text + text, tools=tools)

    def rest(self, start: int) -> Line:
        """Return what follows `start`, as the continuation of what has been drawn."""
        tools = tuple(
            (max(0, first - start), last - start) for first, last in self.tools if last > start
        )
        return replace(self, text=self.text[start:], tools=tools, is_continued=True)

    @property
    def is_fence(self) -> bool:
        """Whether it opens or closes a code block."""
        return not self.is_continued and bool(_FENCE.fullmatch(self.text))


_FENCE = re.compile(r" {0,3}(?:```+|~~~+)[ \w+#.-]*")
_HEADING = re.compile(r"(#{1,6}) +")
_BULLET = re.compile(r"( *)[-*+] +(?=\S)")
_NUMBER = re.compile(r"( *)(\d{1,3}[.)]) +(?=\S)")
_QUOTE = re.compile(r" {0,3}> ?")
_RULE = re.compile(r" {0,3}(?:-(?: *-){2,}|\*(?: *\*){2,}|_(?: *_){2,}) *")
_TABLE = re.compile(r" {0,3}\|")
_MARKERS = re.compile(r"\\[\\`*_]|`+|\*+|_+")


def rows_of(line: Line, width: int, glyphs: Glyphs) -> list[Row]:
    """Return the rows of a line on a terminal of `width` columns; there is at least one."""
    text, size = line.text, len(line.text)
    if line.is_code or line.is_fence:
        style = Style.DIM if line.is_fence else Style.CODE
        return _wrap(list(_cells(text, 0, style)), width, end=size, is_verbatim=True)
    if not line.is_continued and not line.tools:
        if _RULE.fullmatch(text):
            rule = glyphs.bar_empty * min(RULE_CELLS, width - 1)
            return [Row(text=_ansi([Cell(char, Style.DIM, size) for char in rule]), end=size)]
        if _TABLE.match(text):
            cells = list(_inline(line, 0, Style.PLAIN))
            return _wrap(cells, width, end=size, is_verbatim=True)
    lead, first, rest, style = _block(line, glyphs)
    return _wrap(list(_inline(line, lead, style)), width, end=size, first=first, rest=rest)


def _block(line: Line, glyphs: Glyphs) -> tuple[int, str, str, Style]:
    """Return where the content begins, what stands before its first and other rows, its style."""
    text = line.text
    if line.is_continued:
        return 0, "", "", Style.PLAIN
    if found := _HEADING.match(text):
        style = Style.BOLD | (Style.UNDERLINE if len(found[1]) == 1 else Style.PLAIN)
        return found.end(), "", "", style
    if found := _BULLET.match(text):
        return found.end(), f"{found[1]}{glyphs.point} ", f"{found[1]}  ", Style.PLAIN
    if found := _NUMBER.match(text):
        lead = f"{found[1]}{found[2]} "
        return found.end(), lead, " " * len(lead), Style.PLAIN
    if found := _QUOTE.match(text):
        lead = f"{glyphs.axis} "
        return found.end(), lead, lead, Style.ITALIC
    return 0, "", "", Style.PLAIN


def _inline(line: Line, start: int, style: Style) -> Iterator[Cell]:
    """Yield the cells of a line from `start` on; tool calls stay as they are, dim."""
    for first, last in line.tools:
        if first > start:
            yield from _emphasised(line.text[start:first], start, style)
        yield from _cells(line.text[max(first, start) : last], max(first, start), Style.DIM)
        start = max(start, last)
    yield from _emphasised(line.text[start:], start, style)


def _cells(text: str, offset: int, style: Style) -> Iterator[Cell]:
    for index, char in enumerate(text):
        yield Cell(char, style, offset + index + 1)


def _emphasised(text: str, offset: int, style: Style) -> Iterator[Cell]:
    """Yield the cells of a text, markers that have a partner taken out."""
    styles, hidden = _spans(text)
    for index, char in enumerate(text):
        if not hidden[index]:
            yield Cell(char, style | styles[index], offset + index + 1)


def _spans(text: str) -> tuple[list[Style], list[bool]]:
    """Return the style of each character, and whether it is a marker that is not shown."""
    styles, hidden = [Style.PLAIN] * len(text), [False] * len(text)
    markers = [(found.start(), found[0]) for found in _MARKERS.finditer(text)]
    open_at: dict[str, int] = {}
    code_end = 0
    for number, (start, mark) in enumerate(markers):
        end = start + len(mark)
        if start < code_end:
            continue
        if mark[0] == "\\":
            hidden[start] = True
        elif mark[0] == "`":
            close = _code_close(markers, number)
            if close is not None:
                _apply(styles, hidden, start, close, len(mark), Style.CODE)
                code_end = close + len(mark)
        elif len(mark) <= 3:
            if mark in open_at and _may_close(text, start, end):
                added = (Style.PLAIN, Style.ITALIC, Style.BOLD, Style.BOLD | Style.ITALIC)
                opened = open_at[mark]
                _apply(styles, hidden, opened, start, len(mark), added[len(mark)])
                # What opened in between has lost its chance of a partner.
                open_at = {key: at for key, at in open_at.items() if at < opened}
            elif _may_open(text, start, end):
                open_at[mark] = start
    return styles, hidden


def _code_close(markers: Sequence[tuple[int, str]], number: int) -> int | None:
    mark = markers[number][1]
    return next((start for start, other in markers[number + 1 :] if other == mark), None)


def _may_open(text: str, start: int, end: int) -> bool:
    is_inside_word = start > 0 and text[start - 1].isalnum()
    return (
        end < len(text) and not text[end].isspace() and not (text[start] == "_" and is_inside_word)
    )


def _may_close(text: str, start: int, end: int) -> bool:
    if text[start - 1].isspace():
        return False
    return not (text[start] == "_" and end < len(text) and text[end].isalnum())


def _apply(
    styles: list[Style], hidden: list[bool], first: int, last: int, length: int, added: Style
) -> None:
    """Style what stands between two markers and hide the markers."""
    for index in range(first + length, last):
        styles[index] |= added
    for start in (first, last):
        hidden[start : start + length] = [True] * length


def _wrap(
    cells: Sequence[Cell],
    width: int,
    *,
    end: int,
    first: str = "",
    rest: str = "",
    is_verbatim: bool = False,
) -> list[Row]:
    """Return cells in rows that leave the last column free, broken at spaces where possible."""
    rows: list[Row] = []
    row: list[Cell] = []
    lead, used, after_space = first, 0, 0
    for cell in cells:
        room = max(1, width - 1 - len(lead))
        if used + char_width(cell.char) > room and row:
            if cell.char == " " and not is_verbatim:
                # It falls into the break; what follows it opens the next row.
                rows.append(_row(lead, row, cell.end))
                kept: list[Cell] = []
            else:
                cut = after_space if after_space and not is_verbatim else len(row)
                rows.append(_row(lead, _stripped(row[:cut]), row[cut - 1].end))
                kept = row[cut:]
            lead, row, after_space = rest, kept, 0
            used = sum(char_width(item.char) for item in row)
            if cell.char == " " and not is_verbatim:
                continue
        row.append(cell)
        used += char_width(cell.char)
        if cell.char == " ":
            after_space = len(row)
    rows.append(_row(lead, row, end))
    return rows


def _stripped(cells: list[Cell]) -> list[Cell]:
    while len(cells) > 1 and cells[-1].char == " ":
        cells = cells[:-1]
    return cells


def _row(lead: str, cells: Sequence[Cell], end: int) -> Row:
    return Row(text=lead + _ansi(cells), end=end)


def _ansi(cells: Sequence[Cell]) -> str:
    """Return cells as text with escape sequences; every style is closed where it ends."""
    out: list[str] = []
    style = Style.PLAIN
    for cell in cells:
        if cell.style != style:
            out.append((RESET if style else "") + _sgr(cell.style))
            style = cell.style
        out.append(cell.char)
    return "".join(out) + (RESET if style else "")


def _sgr(style: Style) -> str:
    codes = ";".join(code for flag, code in _SGR.items() if flag in style)
    return f"\x1b[{codes}m" if codes else ""
