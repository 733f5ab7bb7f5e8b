"""The lines above the columns of the arena: which are shown, what goes on, what was asked. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tui.answering.columns import LABELS, Lane, Page
from tui.shell.format import counted
from tui.shell.glyphs import Glyphs
from tui.shell.printable import printable
from tui.shell.tones import Piece, ToneLine


def label_of(place: int, *, is_blind: bool) -> str:
    """Return what a column is called: blind ones have the number that votes for them."""
    return str(place + 1) if is_blind else LABELS[place]


def top_line(lanes: Sequence[Lane], page: Page, *, is_blind: bool, is_revealed: bool) -> ToneLine:
    """Return how many columns there are, which of them are visible, and what they do."""
    pieces = [Piece("Arena", "active"), Piece("  ")]
    if not page.is_all:
        for place in range(len(lanes)):
            is_shown = page.start <= place < page.stop
            label = label_of(place, is_blind=is_blind)
            text = f"[{label}]" if is_shown else f" {label} "
            pieces.append(Piece(text, "strong" if is_shown else "quiet"))
    num_at_work = sum(lane.is_at_work for lane in lanes)
    columns = counted(len(lanes), "column")
    pieces.append(Piece(f"  {columns}", "quiet"))
    if num_at_work:
        pieces.append(Piece(f"  {num_at_work} answering", "active"))
    if is_blind:
        state = "revealed" if is_revealed else "blind: 1-6 or t votes"
        pieces.append(Piece(f"  {state}", "warning"))
    return ToneLine(tuple(pieces))


def asked_lines(lane: Lane | None, glyphs: Glyphs, width: int) -> tuple[ToneLine, ...]:
    """Return what a column was asked last, on one line of so many cells; nothing if nothing."""
    if lane is None or not lane.prompt:
        return ()
    text = glyphs.cut(" ".join(printable(lane.prompt).split()), max(width - 6, 8))
    return (ToneLine((Piece(f"{glyphs.cursor} ", "quiet"), Piece(text))),)
