"""How close turns are in meaning to each other and to their topic, by their embeddings.

An embedding is a mean of last hidden states of one model (see transcript.Turn). Such vectors
share a large common part, so that cosines are high throughout: compare them with each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

from core.experiments.selfchat.transcript import Turn

Vector = Sequence[float]


def cosine(a: Vector | None, b: Vector | None) -> float | None:
    """Return the cosine of two vectors, -1 to 1; None where one is missing or has no length."""
    if a is None or b is None or len(a) != len(b):
        return None
    length = math.hypot(*a) * math.hypot(*b)
    if not 0 < length < math.inf:
        return None
    return max(-1.0, min(1.0, math.fsum(x * y for x, y in zip(a, b, strict=True)) / length))


def similarity_to_previous(turns: Sequence[Turn]) -> float | None:
    """Return the mean cosine of each turn with the one before it; 1 is the same meaning."""
    found = [cosine(before.embedding, turn.embedding) for before, turn in pairwise(turns)]
    known = [one for one in found if one is not None]
    return fmean(known) if known else None


def topic_drift(turns: Sequence[Turn], topic: Vector | None) -> float | None:
    """Return 1 minus the cosine of the last turn with the topic: 0 is still on it, at most 2."""
    near = cosine(turns[-1].embedding, topic) if turns else None
    return None if near is None else 1 - near
