"""Entropy as pieces of text: a bar per token or turn, its height first and its colour second."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from core.experiments.report.strips import (
    LEVELS_FROM_BITS,
    Bucket,
    buckets,
    height_of,
    level_of,
)
from tui.shell.glyphs import Glyphs
from tui.shell.tones import LEVEL_TONES, Piece, Tone

# As those of texts, but without lines under the bars.
BAR_TONES: tuple[Tone, ...] = ("level-0", "level-1", "level-2", "warning", "error")


def level_tone(bits: float | None) -> Tone:
    """Return the tone of an entropy; of what a tool wrote, for None."""
    return "tool" if bits is None else LEVEL_TONES[level_of(bits)]


def bar(bucket: Bucket, top: float, glyphs: Glyphs) -> Piece:
    """Return one cell of a strip; `top` bits are a full one, a blank has no value."""
    if bucket.mean is None:
        return Piece(" ")
    ramp = glyphs.ramp
    height = height_of(bucket.mean, top, len(ramp))
    return Piece(ramp[height], BAR_TONES[level_of(bucket.mean)])


def strip(
    values: Sequence[float | None], max_cells: int, top: float, glyphs: Glyphs
) -> tuple[Piece, ...]:
    """Return values in bits as a row of bars; of more values than cells, each bar is a mean."""
    return tuple(bar(bucket, top, glyphs) for bucket in buckets(values, max_cells))


def legend(top: float, glyphs: Glyphs) -> tuple[Piece, ...]:
    """Return what heights and colours say, in one line of at most 44 cells."""
    pieces = [Piece(f"{glyphs.ramp} 0 to {top:g} bits;", "quiet")]
    borders = [f"{bits:g}" for bits in LEVELS_FROM_BITS[1:]]
    names = [f"<{borders[0]}", *(f"{low}-{high}" for low, high in pairwise(borders))]
    for bits, name in zip(LEVELS_FROM_BITS, [*names, f"{borders[-1]}+"], strict=True):
        pieces += [Piece(" "), Piece(name, level_tone(bits))]
    return tuple(pieces)
