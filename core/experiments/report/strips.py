"""Entropy as cells: how tokens fall into buckets, how tall a cell is and which colour it has.

Pure, without torch and without a terminal: the terminal, the app and the HTML report draw the
same cells. Colours have five levels, the same as the web chat's; heights as many as the glyphs.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from core.experiments.measures.entropy import mean_entropy_bits
from core.experiments.selfchat.transcript import Conversation, Experiment, TokenTrace

NATS_PER_BIT = math.log(2)
# Bits from which a colour begins; 1 bit is a coin toss, 4 bits sixteen equal choices.
LEVELS_FROM_BITS = (0.0, 1.0, 2.0, 3.0, 4.0)
LEVEL_NAMES = ("under 1 bit", "1 to 2", "2 to 3", "3 to 4", "4 bits and more")
# Of a hundred tokens, this many are drawn to scale; taller ones would flatten all others.
SCALE_PERCENTILE = 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One cell of a strip: the values from `start` to before `stop`, None where none counts."""

    start: int
    stop: int
    mean: float | None


def level_of(bits: float) -> int:
    """Return the colour of an entropy, from 0 to 4."""
    return max(0, bisect_right(LEVELS_FROM_BITS, bits) - 1)


def height_of(value: float, top: float, num_heights: int) -> int:
    """Return how tall a value is, from 0 to num_heights - 1; `top` and above are the tallest."""
    if not top > 0 or not value > 0:
        return 0
    return min(num_heights - 1, math.floor(value / top * num_heights))


def buckets(values: Sequence[float | None], max_cells: int) -> tuple[Bucket, ...]:
    """Return a cell per value or, where those do not fit, cells of nearly equal numbers of them.

    A cell's value is the mean of its values; None among them are left out.
    """
    num_cells = min(len(values), max(1, max_cells))
    edges = [len(values) * cell // num_cells for cell in range(num_cells + 1)] if values else [0]
    return tuple(
        Bucket(start=start, stop=stop, mean=mean_of(values[start:stop]))
        for start, stop in pairwise(edges)
    )


def mean_of(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are there, None when none is."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return fmean(known) if known else None


def entropies_bits(tokens: TokenTrace) -> tuple[float | None, ...]:
    """Return each token's entropy in bits; None where a tool wrote the token."""
    return tuple(
        None if is_forced else nats / NATS_PER_BIT
        for nats, is_forced in zip(tokens.entropy_nats, tokens.is_forced, strict=True)
    )


def turn_means_bits(conversation: Conversation) -> tuple[float | None, ...]:
    """Return the mean entropy of each turn, in bits."""
    return tuple(mean_entropy_bits([turn]) for turn in conversation.turns)


def token_scale_bits(experiment: Experiment) -> float:
    """Return the entropy that a full cell of a token strip stands for, in whole bits."""
    return _scale(
        bits
        for conversation in experiment.conversations
        for turn in conversation.turns
        for bits in entropies_bits(turn.tokens)
    )


def turn_scale_bits(experiment: Experiment) -> float:
    """Return the mean entropy that a full cell of a sparkline stands for, in whole bits."""
    return _scale(
        bits for conversation in experiment.conversations for bits in turn_means_bits(conversation)
    )


def _scale(values: Iterable[float | None]) -> float:
    known = sorted(value for value in values if value is not None and math.isfinite(value))
    if not known:
        return 1.0
    return float(max(1, math.ceil(known[math.ceil(SCALE_PERCENTILE * len(known)) - 1])))
