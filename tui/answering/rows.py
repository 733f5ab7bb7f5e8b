"""Text that grows token by token as the rows of a terminal, broken between words. Pure.

Each character carries the kind of its token, which a widget turns into a style.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from rich.cells import cell_len

TAB = "    "
Char = tuple[str, str]


@dataclass(slots=True)
class AnswerRows:
    """The rows so far; only the last of them may still change."""

    width: int
    rows: list[list[Char]] = field(default_factory=lambda: [[]])
    _cells: int = 0

    def feed(self, text: str, kind: str) -> None:
        """Add the text of a token."""
        for char in text.replace("\t", TAB):
            if char == "\n":
                self._begin([])
                continue
            size = cell_len(char)
            if self._cells + size > self.width:
                if char == " ":
                    # A space at the border is the border.
                    self._begin([])
                    continue
                self._break()
            self.rows[-1].append((char, kind))
            self._cells += size

    def runs(self, row: int) -> Iterator[tuple[str, str]]:
        """Yield the stretches of one kind in a row."""
        for kind, chars in groupby(self.rows[row], key=lambda char: char[1]):
            yield "".join(char for char, _ in chars), kind

    def _break(self) -> None:
        row = self.rows[-1]
        cut = next((i for i in range(len(row) - 1, -1, -1) if row[i][0] == " "), -1)
        rest = row[cut + 1 :] if cut >= 0 else []
        if cut >= 0:
            del row[cut:]
        self._begin(rest)

    def _begin(self, chars: list[Char]) -> None:
        self.rows.append(chars)
        self._cells = cell_len("".join(char for char, _ in chars))


def rows_of(tokens: Iterable[tuple[str, str]], width: int) -> AnswerRows:
    """Return the rows of texts with their kinds."""
    rows = AnswerRows(width)
    for text, kind in tokens:
        rows.feed(text, kind)
    return rows
