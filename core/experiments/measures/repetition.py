"""How much turns repeat, and from where on a conversation goes in circles."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.experiments.measures.diversity import ngrams
from core.experiments.measures.words import words

MAX_PERIOD_TURNS = 6
SAME_TURN_OVERLAP = 0.8
MAX_PERIOD_WORDS = 32
MIN_PHRASE_REPEATS = 4
MIN_PHRASE_LOOP_WORDS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Where a conversation began to repeat itself.

    turns: turns come again, `period` of them. phrase: a turn ends in one phrase of `period`
    words, over and over. onset_turn: the first turn that repeats, counted from 0.
    """

    kind: Literal["turns", "phrase"]
    onset_turn: int
    period: int


def find_loop(texts: Sequence[str]) -> Loop | None:
    """Return the loop that the last of the turns so far is in, if it is in one.

    Turns loop with period p (1 to 6) when each of the last max(p, 2) turns is nearly the same
    as the one p turns before it. Nearly the same: their word pairs, counted with repetitions,
    overlap by at least 0.8 (Dice 1945). A phrase loops when the last turn ends in at least four
    repetitions of up to 32 words, over at least 16 words. Turns without words are compared by
    their other characters; empty ones are like no other.
    """
    # As far back as the longest period reaches from the turns that must repeat.
    start = max(0, len(texts) - 2 * MAX_PERIOD_TURNS)
    read = [_read(text) for text in texts[start:]]
    loop = _loop_at_end(read, [_pairs(one) for one in read]) if read else None
    return None if loop is None else replace(loop, onset_turn=loop.onset_turn + start)


def first_loop(texts: Sequence[str]) -> Loop | None:
    """Return the first loop that `find_loop` finds while the turns arrive one by one."""
    read = [_read(text) for text in texts]
    pairs = [_pairs(one) for one in read]
    found = (_loop_at_end(read[:num], pairs[:num]) for num in range(1, len(texts) + 1))
    return next((loop for loop in found if loop is not None), None)


def longest_repeat(turns: Sequence[Sequence[int]]) -> int | None:
    """Return the length in tokens of the longest run of token ids that stands twice.

    Anywhere in the turns, overlapping or not, but within a turn each time. 0 where no token
    comes twice; None without tokens.
    """
    ids: list[int] = []
    for i, turn in enumerate(turns):
        # A mark that stands once keeps runs from crossing turns.
        ids += [*turn, -1 - i]
    if len(ids) == len(turns):
        return None
    ranks = [np.unique(np.array(ids), return_inverse=True)[1]]
    while 2 ** len(ranks) <= len(ids):
        ranks.append(_ranks_of_runs(ranks, 2 ** len(ranks)))
    low, high = 0, len(ids)
    while low + 1 < high:
        length = (low + high) // 2
        found = _ranks_of_runs(ranks, length)
        low, high = (length, high) if found.max() + 1 < found.size else (low, length)
    return low


def compression_ratio(texts: Sequence[str]) -> float | None:
    """Return the bytes of the turns, one per line, over their bytes under zlib, level 9.

    Higher is more repetitive (Shaib et al. 2024); below 1 only of short texts. None of no text.
    """
    raw = "\n".join(texts).encode("utf-8", "surrogatepass")
    return len(raw) / len(zlib.compress(raw, 9)) if raw.strip() else None


def _loop_at_end(
    read: Sequence[Sequence[str]], pairs: Sequence[Counter[tuple[Hashable, ...]]]
) -> Loop | None:
    """Return the loop that the last turn is in; `pairs` are the word pairs of each turn."""
    phrase = _phrase_period(read[-1])
    if phrase is not None:
        return Loop(kind="phrase", onset_turn=len(read) - 1, period=phrase)
    for period in range(1, MAX_PERIOD_TURNS + 1):
        needed = max(period, 2)
        turns = range(len(pairs) - needed, len(pairs))
        if turns.start >= period and all(_is_same(pairs[t], pairs[t - period]) for t in turns):
            return Loop(kind="turns", onset_turn=turns.start, period=period)
    return None


def _ranks_of_runs(ranks: Sequence[NDArray[np.int64]], length: int) -> NDArray[np.int64]:
    """Return a number for the run of `length` ids from each place on, equal for equal runs.

    ranks[k] has those of length 2^k: two of them, overlapping, name any run up to twice as long
    (Karp, Miller and Rosenberg 1972).
    """
    half = ranks[(length - 1).bit_length() - 1] if length > 1 else ranks[0]
    width = 2 ** ((length - 1).bit_length() - 1) if length > 1 else 1
    num = ranks[0].size - length + 1
    keys = half[:num] * np.int64(ranks[0].size) + half[length - width : length - width + num]
    return np.unique(keys, return_inverse=True)[1]


def _read(text: str) -> tuple[str, ...]:
    return words(text) or tuple("".join(text.split()))


def _pairs(read: Sequence[str]) -> Counter[tuple[Hashable, ...]]:
    return Counter(ngrams(read, min(2, len(read)))) if read else Counter()


def _is_same(a: Counter[tuple[Hashable, ...]], b: Counter[tuple[Hashable, ...]]) -> bool:
    both = a.total() + b.total()
    return both > 0 and 2 * (a & b).total() / both >= SAME_TURN_OVERLAP


def _phrase_period(read: Sequence[str]) -> int | None:
    """Return the shortest phrase, in words, that the text ends in over and over."""
    for period in range(1, MAX_PERIOD_WORDS + 1):
        run = period
        while run < len(read) and read[-1 - run] == read[-1 - run + period]:
            run += 1
        if run >= max(MIN_PHRASE_REPEATS * period, MIN_PHRASE_LOOP_WORDS) and run <= len(read):
            return period
    return None
