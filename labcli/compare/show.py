"""Shows a race while it runs: redrawn in a screen of its own, or block after block in a pipe."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from labcli.compare.columns import Column
from labcli.compare.layout import Layout, block, firsts_of
from labcli.output import emit, emit_part
from labcli.text.terminal import glyphs_of, is_styled
from tui.shell.environment import read_environment

# The other screen of a terminal: what was there before comes back, and a resize spoils nothing.
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
MIN_BODY = 2
# Of a band: the prompt and two rows above the texts, three below, and a blank one.
BAND_EXTRA = 7


class Stage(Protocol):
    """Shows columns as they grow."""

    def update(self) -> None:
        """Show what there is now."""

    def close(self) -> None:
        """Show what there was in the end."""


class Silent:
    """Shows nothing, for --json."""

    def update(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Blocks:
    """Writes each column as plain lines once it and all before it are done."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._firsts = firsts_of(columns)
        self._num_shown = 0

    def update(self) -> None:
        """Write the columns that are done."""
        while self._num_shown < len(self._columns) and self._columns[self._num_shown].is_done:
            column = self._columns[self._num_shown]
            emit(block(column, self._firsts[column.combination.prompt]))
            self._num_shown += 1

    def close(self) -> None:
        """Write the rest."""
        self.update()


class SideBySide:
    """Draws the columns while they grow, and leaves them whole on the screen in the end."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._firsts = firsts_of(columns)
        self._interval_s = 1 / read_environment(os.environ, sys.stdout.encoding).frames_per_s
        self._drawn_s = 0.0
        emit_part(ENTER)

    def update(self) -> None:
        """Draw a frame, if the last one is old enough."""
        now_s = time.perf_counter()
        if now_s - self._drawn_s >= self._interval_s:
            size = shutil.get_terminal_size()
            lines = frame(self._columns, self._layout(size.columns), size.lines)
            emit_part("\x1b[H" + "".join(line + "\x1b[K\n" for line in lines[:-1]))
            emit_part(lines[-1] + "\x1b[J")
            self._drawn_s = time.perf_counter()

    def close(self) -> None:
        """Go back to the screen from before and write every column in full."""
        emit_part(LEAVE)
        layout = self._layout(shutil.get_terminal_size().columns)
        prompt = None
        for band in layout.bands(self._columns):
            if band[0].combination.prompt != prompt:
                prompt = band[0].combination.prompt
                emit(layout.prompt_line(prompt))
            emit("\n".join(layout.band(band, self._firsts)) + "\n")

    def _layout(self, width: int) -> Layout:
        return Layout(width, glyphs_of(sys.stdout), is_styled=is_styled(sys.stdout))


def frame(columns: Sequence[Column], layout: Layout, height: int) -> list[str]:
    """Return the rows of one frame: the bands that are at work, as many as fit, and a status."""
    firsts, bands = firsts_of(columns), layout.bands(columns)
    num_fitting = max(1, (height - 1) // (BAND_EXTRA + MIN_BODY))
    at_work = [band for band in bands if not all(column.is_done for column in band)]
    shown = (at_work or bands[-num_fitting:])[:num_fitting]
    max_body = max(1, (height - 1) // len(shown) - BAND_EXTRA)
    lines: list[str] = []
    for band in shown:
        lines.append(layout.prompt_line(band[0].combination.prompt))
        lines += [*layout.band(band, firsts, max_body), ""]
    num_done = sum(column.is_done for column in columns)
    num_shown = sum(map(len, shown))
    status = f"{num_done} of {len(columns)} done"
    if num_shown < len(columns):
        status += f", {num_shown} shown; all follow at the end"
    return [*lines[: height - 1], f"{status}; Ctrl-C ends it"[: layout.width]]


@contextmanager
def stage_for(columns: Sequence[Column], *, is_json: bool) -> Iterator[Stage]:
    """Yield what shows the columns on this stdout; the end is shown whatever happens."""
    is_plain = not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in ("", "dumb")
    stage: Stage = Silent() if is_json else Blocks(columns) if is_plain else SideBySide(columns)
    try:
        yield stage
    finally:
        stage.close()
