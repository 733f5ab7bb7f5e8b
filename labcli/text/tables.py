"""Plain text tables, and facts below one another, fitted to a terminal. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from labcli.text.wrapping import LEAST_COLUMN, hung, wrapped

GAP = "  "


def render(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: str = "",
    width: int | None = None,
) -> str:
    """Return a table with two spaces between columns.

    right: one letter per column; "r" aligns that column to the right.
    width: the columns of a terminal. A table that is wider loses columns that hold nothing, and
        texts are broken between words, those of the last column first. None leaves all whole, as
        does a terminal that is too narrow for the words.
    """
    columns = [
        _Column(name, texts, max(map(len, (name, *texts))), right[place : place + 1] == "r")
        for place, (name, *texts) in enumerate(zip(header, *rows, strict=True))
    ]
    if width is not None and _width(columns) > width:
        columns = _narrowed([column for column in columns if column.holds_something], width)
    lines = []
    for row in zip(*((column.name, *column.texts) for column in columns), strict=True):
        broken = [column.broken(text) for column, text in zip(columns, row, strict=True)]
        for parts in zip_longest(*broken, fillvalue=""):
            placed = [column.placed(part) for column, part in zip(columns, parts, strict=True)]
            lines.append(GAP.join(placed).rstrip())
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    texts: Sequence[str]
    width: int
    is_right: bool

    @property
    def holds_something(self) -> bool:
        return any(self.texts) or not self.texts

    def broken(self, text: str) -> list[str]:
        return [text] if len(text) <= self.width else wrapped(text, self.width)

    def placed(self, part: str) -> str:
        return part.rjust(self.width) if self.is_right else part.ljust(self.width)

    def narrowed(self, excess: int, *, is_last: bool) -> _Column:
        """Return it narrower by `excess`, or by as much as its words allow; numbers stay whole."""
        if self.is_right or excess <= 0:
            return self
        # A longer word of the last column may stand out.
        words = () if is_last else (word for text in self.texts for word in text.split())
        least = max(map(len, (self.name, *words)))
        if is_last:
            least = min(max(least, LEAST_COLUMN), self.width)
        return replace(self, width=max(least, self.width - excess))


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _narrowed(columns: list[_Column], width: int) -> list[_Column]:
    """Return columns that fit into a width, or as they are where their words do not."""
    last = len(columns) - 1
    found = list(columns)
    for place in sorted(range(len(found)), key=lambda at: (at != last, -columns[at].width)):
        excess = _width(found) - width
        found[place] = found[place].narrowed(excess, is_last=place == last)
    return found if _width(found) <= width else columns


def render_facts(facts: Mapping[str, str], *, width: int | None = None) -> str:
    """Return facts below one another, each behind its name; empty ones are left out.

    width: the columns of a terminal, to which a fact is broken between words.
    """
    room = max(map(len, facts))
    lines = (hung(f"{name:{room}}{GAP}", fact, width) for name, fact in facts.items() if fact)
    return "\n".join(line for block in lines for line in block)
