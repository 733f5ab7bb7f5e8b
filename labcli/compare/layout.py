"""Columns side by side, in as many bands as the width asks for. Pure functions: text out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, zip_longest

from labcli.chat.stats import FINISHES, first_token
from labcli.compare.columns import Column, difference
from labcli.text.styled import Cell, Row, Style, cells_of, row_of, wrap
from labcli.text.terminal import cut, printable
from tui.shell.glyphs import Glyphs

MIN_WIDTH = 26
Band = Sequence[Column]


class Layout:
    """How wide columns are and what they are drawn with."""

    def __init__(self, width: int, glyphs: Glyphs, *, is_styled: bool) -> None:
        self.width = max(width - 1, 8)
        self.glyphs = glyphs
        self.gap = f" {glyphs.axis} "
        self._is_styled = is_styled

    def bands(self, columns: Sequence[Column]) -> list[Band]:
        """Return the columns of each prompt, cut into bands that fit side by side."""
        fitting = max(1, (self.width + len(self.gap)) // (MIN_WIDTH + len(self.gap)))
        bands: list[Band] = []
        for _, group in groupby(columns, key=lambda column: column.combination.prompt):
            members = list(group)
            # Bands of one height: 4 columns where 3 fit become 2 and 2.
            num_bands = -(-len(members) // fitting)
            size = -(-len(members) // num_bands)
            bands += [members[start : start + size] for start in range(0, len(members), size)]
        return bands

    def prompt_line(self, prompt: str) -> str:
        """Return a prompt on one row."""
        text = cut(" ".join(printable(prompt).split()), self.width - 2, self.glyphs.ellipsis)
        return f"{self.glyphs.cursor} {self._paint(text, Style.BOLD)}"

    def band(self, band: Band, firsts: dict[str, Column], max_body: int | None = None) -> list[str]:
        """Return the rows of columns side by side; `max_body` keeps the last rows of each text.

        firsts: by prompt, the column that the others are compared with.
        """
        width = (self.width - len(self.gap) * (len(band) - 1)) // len(band)
        width = max(1, min(width, self.width))
        heads = [self._head(column, width) for column in band]
        bodies = [self._body(column, firsts, width) for column in band]
        if max_body is not None:
            bodies = [body[-max_body:] for body in bodies]
        feet = [self._foot(column, firsts, width) for column in band]
        return [
            *self._side_by_side(heads, width),
            *self._side_by_side(bodies, width),
            *self._side_by_side(feet, width),
        ]

    def titled(self, texts: Sequence[tuple[str, str]]) -> list[str]:
        """Return texts below their titles, side by side where the width allows it."""
        size = len(texts) if self.width >= len(texts) * (MIN_WIDTH + len(self.gap)) else 1
        width = (self.width - len(self.gap) * (size - 1)) // size
        lines: list[str] = []
        for start in range(0, len(texts), size):
            band = texts[start : start + size]
            heads = [[self._line(title, width, Style.BOLD)] for title, _ in band]
            bodies = [self._wrapped(text, width) for _, text in band]
            lines += [*self._side_by_side(heads, width), *self._side_by_side(bodies, width), ""]
        return lines

    def _wrapped(self, text: str, width: int) -> list[Row]:
        rows: list[Row] = []
        for line in printable(text).replace("\t", " ").split("\n"):
            rows += wrap(list(cells_of(line, 0, Style.PLAIN)), width + 1, end=len(line))
        return rows

    def _head(self, column: Column, width: int) -> list[Row]:
        choice = column.combination
        title = f"{choice.label}  {_short_name(column.model, width - 4, self.glyphs)}"
        drawn = f"temperature {choice.settings.temperature:g}"
        if choice.settings.temperature:
            drawn += f"  seed {choice.settings.seed}"
        return [self._line(title, width, Style.BOLD), self._line(drawn, width, Style.DIM)]

    def _body(self, column: Column, firsts: dict[str, Column], width: int) -> list[Row]:
        at = difference(firsts[column.combination.prompt], column)
        rows: list[Row] = []
        start = 0
        for line in column.text.split("\n"):
            end = start + len(line)
            cells = list(cells_of(printable(line).replace("\t", " "), 0, Style.PLAIN))
            if at is not None and start <= at <= end:
                index = min(at - start, len(cells))
                mark = Style.MARK if self._is_styled else Style.PLAIN
                if index < len(cells):
                    cells[index] = cells[index]._replace(style=mark)
                cells.insert(index, Cell(self.glyphs.cursor, mark, 0))
                at = None
            rows += wrap(cells, width + 1, end=len(line))
            start = end + 1
        return rows

    def _foot(self, column: Column, firsts: dict[str, Column], width: int) -> list[Row]:
        first = firsts[column.combination.prompt]
        lines = [figures_line(column), state_line(column), difference_line(column, first)]
        return [self._line(line, width, Style.DIM) for line in lines]

    def _line(self, text: str, width: int, style: Style) -> Row:
        shown = cut(text, width, self.glyphs.ellipsis)
        return row_of("", list(cells_of(shown, 0, style if self._is_styled else Style.PLAIN)), 0)

    def _side_by_side(self, columns: Sequence[Sequence[Row]], width: int) -> list[str]:
        gap = self._paint(self.gap, Style.DIM)
        lines = []
        for rows in zip_longest(*columns):
            cells = [" " * width if row is None else _padded(row, width) for row in rows]
            lines.append(gap.join(cells).rstrip())
        return lines

    def _paint(self, text: str, style: Style) -> str:
        return row_of("", list(cells_of(text, 0, style)), 0).text if self._is_styled else text


def figures_line(column: Column) -> str:
    """Return what an answer has taken so far: its tokens, tokens a second, time to the first."""
    if not column.num_tokens:
        return "no token yet"
    words = [f"{column.num_tokens} tokens"]
    if column.tok_per_sec is not None:
        words.append(f"{column.tok_per_sec:.0f}/s")
    return "  ".join([*words, first_token(column.ttft_s)])


def state_line(column: Column) -> str:
    """Return how an answer stands or ended, and its mean entropy."""
    state = "answering" if column.num_tokens else "waiting"
    if column.finish is not None:
        state = FINISHES.get(column.finish, "complete")
    return state if column.entropy_bits is None else f"{column.entropy_bits:.2f} bits  {state}"


def difference_line(column: Column, first: Column) -> str:
    """Return whether an answer is what the first column says."""
    label = first.combination.label
    if column is first:
        return ""
    at = difference(first, column)
    if at is not None:
        return f"departs from {label} at {at}"
    return f"same as {label}" if column.is_done and first.is_done else ""


def block(column: Column, first: Column) -> str:
    """Return a column as plain lines, for a pipe."""
    choice = column.combination
    figures = [figures_line(column), state_line(column), difference_line(column, first)]
    return "\n".join(
        [
            f"{choice.label}  {column.model}  {choice.settings.summary()}",
            f"prompt: {' '.join(choice.prompt.split())}",
            "  ".join(filter(None, figures)),
            "",
            column.text,
            "",
        ]
    )


def firsts_of(columns: Sequence[Column]) -> dict[str, Column]:
    """Return the first column of every prompt."""
    firsts: dict[str, Column] = {}
    for column in columns:
        firsts.setdefault(column.combination.prompt, column)
    return firsts


def _padded(row: Row, width: int) -> str:
    return row.text + " " * (width - row.width)


def _short_name(name: str, width: int, glyphs: Glyphs) -> str:
    """Return a model's name; what does not fit is cut from the left, where runs are alike."""
    if len(name) <= width:
        return name
    return glyphs.ellipsis + name[len(name) - max(1, width - len(glyphs.ellipsis)) :]
