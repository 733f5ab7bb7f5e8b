"""Styled characters and how they fall into the rows of a terminal. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

from labcli.text.terminal import RESET, char_width, text_width


class Style(IntFlag):
    """What a cell may look like; styles add up."""

    PLAIN = 0
    BOLD = 1
    DIM = 2
    ITALIC = 4
    UNDERLINE = 8
    CODE = 16
    MARK = 32
    # How unsure a model was, from sure to unsure; a height says the same beside it.
    LEVEL_0 = 64
    LEVEL_1 = 128
    LEVEL_2 = 256
    LEVEL_3 = 512
    LEVEL_4 = 1024


LEVELS = (Style.LEVEL_0, Style.LEVEL_1, Style.LEVEL_2, Style.LEVEL_3, Style.LEVEL_4)


_SGR = {
    Style.BOLD: "1",
    Style.DIM: "2",
    Style.ITALIC: "3",
    Style.UNDERLINE: "4",
    Style.CODE: "36",
    Style.MARK: "7",
    # Of middling lightness, to be read on dark and on light.
    Style.LEVEL_0: "38;5;67",
    Style.LEVEL_1: "38;5;72",
    Style.LEVEL_2: "38;5;136",
    Style.LEVEL_3: "38;5;166",
    Style.LEVEL_4: "38;5;162",
}


class Cell(NamedTuple):
    """A character to show; `end` is where the line's text goes on behind it."""

    char: str
    style: Style
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the terminal with its escape sequences, and its cells; `end` as in Cell."""

    text: str
    end: int
    width: int


def cells_of(text: str, offset: int, style: Style) -> Iterator[Cell]:
    """Yield the cells of a text that begins at `offset`."""
    for index, char in enumerate(text):
        yield Cell(char, style, offset + index + 1)


def wrap(
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
                rows.append(row_of(lead, row, cell.end))
                kept: list[Cell] = []
            else:
                cut = after_space if after_space and not is_verbatim else len(row)
                rows.append(row_of(lead, _stripped(row[:cut]), row[cut - 1].end))
                kept = row[cut:]
            lead, row, after_space = rest, kept, 0
            used = sum(char_width(item.char) for item in row)
            if cell.char == " " and not is_verbatim:
                continue
        row.append(cell)
        used += char_width(cell.char)
        if cell.char == " ":
            after_space = len(row)
    rows.append(row_of(lead, row, end))
    return rows


def _stripped(cells: list[Cell]) -> list[Cell]:
    while len(cells) > 1 and cells[-1].char == " ":
        cells = cells[:-1]
    return cells


def row_of(lead: str, cells: Sequence[Cell], end: int) -> Row:
    """Return a row of its lead, which has no style, and cells."""
    width = text_width(lead) + sum(char_width(cell.char) for cell in cells)
    return Row(text=lead + ansi(cells), end=end, width=width)


def ansi(cells: Sequence[Cell]) -> str:
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
