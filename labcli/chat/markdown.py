"""One line of markdown as styled rows of a terminal. Pure functions, made for streaming.

A line is styled as a whole and may be styled again when it has grown: a marker counts only when
its partner is there. Every cell remembers where in the line it came from, so that a row can be
left as it is and the rest of the line goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from labcli.text.styled import Cell, Row, Style, cells_of, row_of, wrap
from tui.shell.glyphs import Glyphs

TAB = "    "
RULE_CELLS = 24


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
        return wrap(list(cells_of(text, 0, style)), width, end=size, is_verbatim=True)
    if not line.is_continued and not line.tools:
        if _RULE.fullmatch(text):
            rule = glyphs.bar_empty * min(RULE_CELLS, width - 1)
            return [row_of("", [Cell(char, Style.DIM, size) for char in rule], size)]
        if _TABLE.match(text):
            cells = list(_inline(line, 0, Style.PLAIN))
            return wrap(cells, width, end=size, is_verbatim=True)
    lead, first, rest, style = _block(line, glyphs)
    return wrap(list(_inline(line, lead, style)), width, end=size, first=first, rest=rest)


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
            yield from emphasised(line.text[start:first], start, style)
        yield from cells_of(line.text[max(first, start) : last], max(first, start), Style.DIM)
        start = max(start, last)
    yield from emphasised(line.text[start:], start, style)


def emphasised(text: str, offset: int, style: Style) -> Iterator[Cell]:
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
