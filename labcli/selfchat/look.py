"""What a self-chat is drawn with: a width, characters, and styles where they are wanted."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from core.experiments.report.strips import LEVEL_NAMES, Bucket, buckets, height_of, level_of
from labcli.text.styled import LEVELS, Cell, Style, ansi, cells_of, row_of, wrap
from labcli.text.terminal import glyphs_of, is_styled, printable
from tui.shell.glyphs import Glyphs

# A pipe has no width of its own.
PIPE_WIDTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The cells that a line may take, and how they may look."""

    width: int
    glyphs: Glyphs
    is_styled: bool

    def paint(self, text: str, style: Style) -> str:
        """Return a text in a style, where styles are wanted."""
        return row_of("", list(cells_of(text, 0, style)), 0).text if self.is_styled else text

    def wrapped(self, text: str, first: str = "", rest: str = "") -> list[str]:
        """Return a text in lines that fit; `first` and `rest` lead them."""
        return self.wrapped_cells(list(cells_of(plain(text), 0, Style.PLAIN)), first, rest)

    def wrapped_cells(self, cells: Sequence[Cell], first: str = "", rest: str = "") -> list[str]:
        """Return cells in lines that fit; `first` and `rest` lead them."""
        styled = cells if self.is_styled else [one._replace(style=Style.PLAIN) for one in cells]
        return [row.text for row in wrap(styled, self.width + 1, end=0, first=first, rest=rest)]

    def strip(self, values: Sequence[float | None], max_cells: int, top: float) -> str:
        """Return values as a row of bars, in bits; `top` bits are a full cell.

        Of more values than cells, each bar is a mean. A blank has no value: no token was drawn.
        """
        cells = [self._cell(bucket, top) for bucket in buckets(values, max_cells)]
        return ansi(cells) if self.is_styled else "".join(cell.char for cell in cells)

    def legend(self, top: float) -> list[str]:
        """Return what heights and colours of strips say."""
        ramp = self.glyphs.ramp
        text = f"Entropy: {ramp} is 0 to {top:g} bits and more; a blank has none."
        lines = self.wrapped(text)
        if self.is_styled:
            names = zip(LEVEL_NAMES, LEVELS, strict=True)
            cells = [one for name, style in names for one in cells_of(f"{name}  ", 0, style)]
            lines += self.wrapped_cells(cells)
        return lines

    def _cell(self, bucket: Bucket, top: float) -> Cell:
        if bucket.mean is None:
            return Cell(" ", Style.PLAIN, 0)
        ramp = self.glyphs.ramp
        char = ramp[height_of(bucket.mean, top, len(ramp))]
        return Cell(char, LEVELS[level_of(bucket.mean)], 0)


def look_of(stream: TextIO) -> Look:
    """Return what a stream allows: its width, its encoding, and NO_COLOR."""
    width = shutil.get_terminal_size().columns if stream.isatty() else PIPE_WIDTH
    return Look(width=width, glyphs=glyphs_of(stream), is_styled=is_styled(stream))


def plain(text: str) -> str:
    """Return a text on one line, without anything that could steer a terminal."""
    return " ".join(printable(text).split())
