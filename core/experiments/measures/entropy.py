"""How sure a model was of the tokens that it took, over one or more turns.

Tokens that a tool forced are left out: the model chose nothing there. Every function returns
None where nothing was chosen. Figures are per token of the model's own vocabulary: they compare
settings of one model, and models only where these share a tokenizer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean, median

from core.experiments.selfchat.transcript import TokenTrace, Turn

BITS_PER_NAT = 1 / math.log(2)


def mean_entropy_nats(turns: Sequence[Turn]) -> float | None:
    """Return the mean entropy (Shannon 1948) of the next-token distribution at temperature 1."""
    return _mean([one for turn in turns for one in _chosen(turn.tokens, turn.tokens.entropy_nats)])


def mean_entropy_bits(turns: Sequence[Turn]) -> float | None:
    """Return the mean entropy in bits."""
    return _in_bits(mean_entropy_nats(turns))


def median_entropy_nats(turns: Sequence[Turn]) -> float | None:
    """Return the entropy in nats that half of the tokens exceed: unmoved by a few open choices."""
    found = [one for turn in turns for one in _chosen(turn.tokens, turn.tokens.entropy_nats)]
    return finite(median(found)) if found else None


def median_entropy_bits(turns: Sequence[Turn]) -> float | None:
    """Return the median entropy in bits."""
    return _in_bits(median_entropy_nats(turns))


def mean_surprisal_nats(turns: Sequence[Turn]) -> float | None:
    """Return the mean -ln p of the tokens taken, p at temperature 1."""
    return _mean(_surprisals(turns))


def mean_probability(turns: Sequence[Turn]) -> float | None:
    """Return the mean probability, at temperature 1, of the tokens taken."""
    return _mean([math.exp(-one) for one in _surprisals(turns)])


def mean_rank(turns: Sequence[Turn]) -> float | None:
    """Return the mean rank of the tokens taken; 0 is the likeliest token."""
    return _mean([one for turn in turns for one in _chosen(turn.tokens, turn.tokens.rank)])


def perplexity(turns: Sequence[Turn]) -> float | None:
    """Return exp of the mean surprisal: the choices that would be as surprising if equally likely.

    Jelinek et al. 1977, under the model that wrote the tokens.
    """
    return _exp(mean_surprisal_nats(turns))


def other_perplexity(turns: Sequence[Turn]) -> float | None:
    """Return the perplexity of the same tokens under the other model; None unless all have it."""
    found: list[float] = []
    for turn in turns:
        if turn.tokens.other_surprisal_nats is None:
            return None
        found += _chosen(turn.tokens, turn.tokens.other_surprisal_nats)
    return _exp(_mean(found))


def first_entropy_bits(turns: Sequence[Turn]) -> float | None:
    """Return the mean entropy of the first turn, in bits."""
    return mean_entropy_bits(turns[:1])


def last_entropy_bits(turns: Sequence[Turn]) -> float | None:
    """Return the mean entropy of the last turn, in bits; None of a single turn."""
    return mean_entropy_bits(turns[-1:]) if len(turns) > 1 else None


def entropy_change_bits(turns: Sequence[Turn]) -> float | None:
    """Return the last turn's mean entropy minus the first turn's, in bits."""
    first, last = first_entropy_bits(turns), last_entropy_bits(turns)
    return None if first is None or last is None else last - first


def entropy_slope_bits(turns: Sequence[Turn]) -> float | None:
    """Return the least-squares slope of the turns' mean entropies, in bits per turn.

    Turns without a chosen token are left out; None of fewer than two others.
    """
    points = [(turn.index, mean_entropy_bits([turn])) for turn in turns]
    known = [(index, bits) for index, bits in points if bits is not None]
    if len(known) < 2:
        return None
    middle = fmean(index for index, _ in known)
    spread = sum((index - middle) ** 2 for index, _ in known)
    return finite(sum((index - middle) * bits for index, bits in known) / spread)


def finite(value: float) -> float | None:
    """Return a number, and None for what is none: undefined is never NaN or infinite."""
    return float(value) if math.isfinite(value) else None


def _surprisals(turns: Sequence[Turn]) -> list[float]:
    return [one for turn in turns for one in _chosen(turn.tokens, turn.tokens.surprisal_nats)]


def _chosen(tokens: TokenTrace, column: Sequence[float]) -> Iterator[float]:
    for value, is_forced in zip(column, tokens.is_forced, strict=True):
        if not is_forced:
            yield value


def _mean(values: Sequence[float]) -> float | None:
    return finite(fmean(values)) if values else None


def _in_bits(nats: float | None) -> float | None:
    return None if nats is None else nats * BITS_PER_NAT


def _exp(nats: float | None) -> float | None:
    # e^709 is the largest that a double holds.
    return None if nats is None or nats > 709 else math.exp(nats)
