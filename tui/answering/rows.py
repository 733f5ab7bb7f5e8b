"""Text that grows token by token as the rows of a terminal, broken between words. Pure.

Each character carries the kind of its token, which a widget turns into a style, and the token's
place in the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from rich.cells import cell_len

TAB = "    "
NO_TOKEN = -1
Char = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring characters that look the same."""

    text: str
    kind: str
    is_marked: bool


@dataclass(slots=True)
class AnswerRows:
    """The rows so far; only the last of them may still change."""

    width: int
    rows: list[list[Char]] = field(default_factory=lambda: [[]])
    _cells: int = 0

    def feed(self, text: str, kind: str, token: int = NO_TOKEN) -> None:
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
            self.rows[-1].append((char, kind, token))
            self._cells += size

    def runs(self, row: int, marked: int | None = None) -> Iterator[Stretch]:
        """Yield the stretches of a row; those of the marked token stand out."""
        for (kind, is_marked), chars in groupby(
            self.rows[row], key=lambda char: (char[1], char[2] == marked)
        ):
            yield Stretch("".join(char[0] for char in chars), kind, is_marked)

    def rows_of(self, token: int) -> list[int]:
        """Return the rows that hold characters of a token."""
        return [
            number
            for number, row in enumerate(self.rows)
            if row and row[0][2] <= token <= row[-1][2] and any(char[2] == token for char in row)
        ]

    def token_at(self, row: int, cell: int) -> int | None:
        """Return the token whose text is in a cell; None where there is none."""
        end = 0
        for char, _, token in self.rows[row] if row < len(self.rows) else ():
            end += cell_len(char)
            if cell < end:
                return token if token != NO_TOKEN else None
        return None

    def _break(self) -> None:
        row = self.rows[-1]
        cut = next((i for i in range(len(row) - 1, -1, -1) if row[i][0] == " "), -1)
        rest = row[cut + 1 :] if cut >= 0 else []
        if cut >= 0:
            del row[cut:]
        self._begin(rest)

    def _begin(self, chars: list[Char]) -> None:
        self.rows.append(chars)
        self._cells = cell_len("".join(char[0] for char in chars))
