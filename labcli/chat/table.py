"""A table of markdown as rows of a terminal, its columns aligned. Pure functions.

A table has a header, a line of dashes and rows; each of those lines begins with a bar.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from labcli.chat.markdown import emphasised
from labcli.text.styled import Cell, Row, Style, row_of, wrap
from labcli.text.terminal import char_width
from tui.shell.glyphs import Glyphs

Side = Literal["left", "right", "middle"]
MIN_COLUMN = 3
GAP_CELLS = 3

_ROW = re.compile(r" {0,3}\|")
_DASHES = re.compile(r" {0,3}\|(?: *:?-+:? *\|)* *(?::?-+:? *)?")
_DASHES_BEGUN = re.compile(r" {0,3}(?:\|[ :|-]*)?")
_BAR = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The texts of a table's cells, the header first; every row has one for each column."""

    sides: tuple[Side, ...]
    rows: tuple[tuple[str, ...], ...]

    def with_row(self, line: str) -> Table:
        """Return the table with another row; what is too much for it stays in its last cell."""
        texts = _split(line)
        num = len(self.sides)
        kept = [*texts[: num - 1], " | ".join(texts[num - 1 :])]
        row = (*kept, *[""] * (num - len(kept)))
        return replace(self, rows=(*self.rows, row))


def is_row(line: str) -> bool:
    """Return whether a line can belong to a table."""
    return bool(_ROW.match(line))


def may_be_dashes(line: str) -> bool:
    """Return whether a line that grows can still become the one below a header."""
    return bool(_DASHES_BEGUN.fullmatch(line))


def open_table(header: str, dashes: str) -> Table | None:
    """Return the table that two lines begin; None when they begin none."""
    if not _DASHES.fullmatch(dashes) or "-" not in dashes:
        return None
    sides = tuple(_side(text) for text in _split(dashes))
    if len(sides) != len(_split(header)):
        return None
    return Table(sides=sides, rows=()).with_row(header)


def widths_of(table: Table, columns: int) -> tuple[int, ...] | None:
    """Return the columns' widths in a terminal of `columns`; None when they cannot stand in it."""
    cells = [[emphasised(text, 0, Style.PLAIN) for text in row] for row in table.rows]
    widths = [
        max(MIN_COLUMN, *(sum(char_width(cell.char) for cell in text) for text in column))
        for column in zip(*([list(text) for text in row] for row in cells), strict=True)
    ]
    # The terminal's last column stays free, as everywhere.
    room = columns - 1 - GAP_CELLS * (len(widths) - 1)
    if room < MIN_COLUMN * len(widths):
        return None
    while sum(widths) > room:
        # The widest gives way, down to the next or as far as is needed.
        widest = max(widths)
        others = [width for width in widths if width < widest]
        num = widths.count(widest)
        share = -(-(sum(widths) - room) // num)
        lower = max(widest - share, max(others, default=MIN_COLUMN), MIN_COLUMN)
        widths = [min(width, lower) for width in widths]
    return tuple(widths)


def table_rows(table: Table, widths: Sequence[int], glyphs: Glyphs, *, first: int = 0) -> list[Row]:
    """Return the rows of a terminal that show a table from row `first` on; 0 is the header."""
    rows: list[Row] = []
    for number, texts in enumerate(table.rows[first:], start=first):
        style = Style.BOLD if number == 0 else Style.PLAIN
        rows += _side_by_side(texts, table.sides, widths, glyphs, style)
        if number == 0:
            size = sum(widths) + GAP_CELLS * (len(widths) - 1)
            rows.append(row_of("", [Cell(glyphs.bar_empty, Style.DIM, 0)] * size, 0))
    return rows


def _side_by_side(
    texts: Sequence[str], sides: Sequence[Side], widths: Sequence[int], glyphs: Glyphs, style: Style
) -> list[Row]:
    blocks = [
        wrap(list(emphasised(text, 0, style)), width + 1, end=0)
        for text, width in zip(texts, widths, strict=True)
    ]
    bar = row_of("", [Cell(glyphs.axis, Style.DIM, 0)], 0).text
    rows = []
    for index in range(max(map(len, blocks))):
        parts = []
        for block, side, width in zip(blocks, sides, widths, strict=True):
            own = block[index] if index < len(block) else Row(text="", end=0, width=0)
            parts.append(_aligned(own, side, width))
        text = f" {bar} ".join(parts).rstrip(" ")
        rows.append(Row(text=text, end=0, width=sum(widths) + GAP_CELLS * (len(widths) - 1)))
    return rows


def _aligned(row: Row, side: Side, width: int) -> str:
    free = max(0, width - row.width)
    before = {"left": 0, "right": free, "middle": free // 2}[side]
    return " " * before + row.text + " " * (free - before)


def _split(line: str) -> list[str]:
    """Return the texts between the bars of a line; a bar behind a backslash is text."""
    inner = line.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [text.strip().replace("\\|", "|") for text in _BAR.split(inner)]


def _side(dashes: str) -> Side:
    if dashes.endswith(":"):
        return "middle" if dashes.startswith(":") else "right"
    return "left"
