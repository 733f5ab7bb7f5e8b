"""Rows of a page: toned text with what copying takes and what opening shows. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tui.shell.glyphs import Glyphs
from tui.shell.tones import Piece, Tone, ToneLine

LABEL_WIDTH = 16
_MIN_FLEXIBLE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row. `value` is what copying takes, `detail` what is shown of it in full.

    key: names the row, so that the cursor finds it again when the page has changed.
    told: makes both where that is too much work to do for every row.
    """

    line: ToneLine
    key: str = ""
    value: str = ""
    detail: str = ""
    is_heading: bool = False
    told: Callable[[], str] | None = None

    def in_full(self) -> str:
        """Return all of the row."""
        return self.detail if self.told is None else self.told()

    def copied(self) -> str:
        """Return what copying takes."""
        return self.value if self.told is None else self.told()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell of a table."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """The cells of one row of a table, and what the row stands for."""

    cells: tuple[Cell, ...]
    key: str
    value: str = ""
    detail: str = ""


def heading(text: str, note: str = "", tone: Tone = "quiet") -> Row:
    """Return a line above other rows, with a remark."""
    pieces = (Piece(text, "strong"), *((Piece(f"  {note}", tone),) if note else ()))
    return Row(line=ToneLine(pieces), is_heading=True)


def blank() -> Row:
    """Return an empty line."""
    return Row(line=ToneLine(()), is_heading=True)


def remark(text: str, tone: Tone = "quiet", *, detail: str = "") -> Row:
    """Return a sentence that can be copied."""
    return Row(line=ToneLine((Piece(text, tone),)), key=text, value=text, detail=detail or text)


def sentence(text: str, width: int, tone: Tone = "plain") -> list[Row]:
    """Return a sentence on as many lines as it takes; the first one can be marked and copied."""
    lines = textwrap.wrap(text, max(width, 20), subsequent_indent="  ", break_long_words=False)
    first = remark(lines[0] if lines else "", tone)
    rest = [remark(line, tone) for line in lines[1:]]
    return [
        Row(line=first.line, key=text, value=text, detail=text),
        *(Row(line=row.line, is_heading=True) for row in rest),
    ]


def fact(label: str, value: str, *, tone: Tone = "plain", note: str = "", detail: str = "") -> Row:
    """Return a name with its value; copying takes the value."""
    pieces = [Piece(f"{label:<{LABEL_WIDTH}} ", "quiet"), Piece(value, tone)]
    if note:
        pieces.append(Piece(f"  {note}", "quiet"))
    shown = "\n".join(part for part in (label, "", value, note) if part or not label)
    return Row(line=ToneLine(tuple(pieces)), key=label, value=value, detail=detail or shown)


def table(
    header: Sequence[str],
    rows: Sequence[TableRow],
    *,
    width: int,
    glyphs: Glyphs,
    right: str = "",
    flexible: int = 0,
) -> list[Row]:
    """Return a heading and rows in columns; one column gives way, then the last ones go.

    right: one letter per column, "r" aligns it to the right.
    """
    columns = list(range(len(header)))
    widths = [
        max(len(header[column]), *(len(row.cells[column].text) for row in rows))
        if rows
        else len(header[column])
        for column in columns
    ]
    wanted = widths[flexible]
    widths[flexible] = max(
        min(widths[flexible], width - sum(widths) + widths[flexible] - 2 * (len(columns) - 1)),
        min(widths[flexible], _MIN_FLEXIBLE),
    )
    while len(columns) > 2 and sum(widths[at] + 2 for at in columns) - 2 > width:
        columns.pop()
    # What a column that went has left is for the one that gave way.
    left = width - (sum(widths[at] + 2 for at in columns) - 2)
    widths[flexible] = min(wanted, widths[flexible] + max(left, 0))
    heads = [Cell(text=text, tone="quiet") for text in header]
    lines = [_line(heads, widths, columns, right, glyphs)]
    lines += [_line(row.cells, widths, columns, right, glyphs) for row in rows]
    return [
        Row(line=lines[0], is_heading=True),
        *(
            Row(line=line, key=row.key, value=row.value, detail=row.detail)
            for line, row in zip(lines[1:], rows, strict=True)
        ),
    ]


def _line(
    cells: Sequence[Cell], widths: Sequence[int], columns: Sequence[int], right: str, glyphs: Glyphs
) -> ToneLine:
    pieces = []
    for place, column in enumerate(columns):
        cell, width = cells[column], widths[column]
        text = glyphs.cut(cell.text, width)
        is_right = right[column : column + 1] == "r"
        pieces.append(
            Piece(("  " if place else "") + (text.rjust(width) if is_right else text.ljust(width)),
                  cell.tone)
        )  # fmt: skip
    return ToneLine(tuple(pieces))
