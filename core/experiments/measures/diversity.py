"""How varied the words are: of a turn, of a conversation, and across conversations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from statistics import fmean

MTLD_THRESHOLD = 0.72
BLEU_ORDER = 4
BLEU_EPSILON = 0.1

# The words of each turn.
Texts = Sequence[Sequence[str]]


def distinct(texts: Texts, n: int) -> float | None:
    """Return the number of different word n-grams over the number of words (Li et al. 2016).

    n-grams of all turns count together and do not cross turns. None without an n-gram.
    """
    found = {gram for text in texts for gram in ngrams(text, n)}
    return len(found) / sum(map(len, texts)) if found else None


def type_token_ratio(texts: Texts) -> float | None:
    """Return different words over words (Templin 1957), the mean over the turns that have words.

    Within turns alone: where this stays and distinct-1 falls, turns repeat each other.
    """
    ratios = [len(set(text)) / len(text) for text in texts if text]
    return fmean(ratios) if ratios else None


def mtld(words: Sequence[str]) -> float | None:
    """Return the measure of textual lexical diversity, in words (McCarthy and Jarvis 2010).

    The mean length of the stretches over which the type-token ratio holds out above 0.72; a
    stretch ends with the word that brings it there, and what is left at the end counts in part.
    Read forwards and backwards, and averaged. Hardly depends on the length of the text, but is
    unsteady below some 100 words. None where no word repeats: the ratio never falls.
    """
    forwards, backwards = _factors(words), _factors(words[::-1])
    if not forwards or not backwards:
        return None
    return (len(words) / forwards + len(words) / backwards) / 2


def self_bleu(texts: Texts) -> list[float | None]:
    """Return how much of each text the others hold: its BLEU-4 against them (Zhu et al. 2018).

    0 to 1, and 1 for copies of four words or more. Orders without a match count as 0.1 matches
    (Chen and Cherry 2014, method 1), as in the paper's own code. None of an empty text, or
    without another one.
    """
    counts = [_Clipping(texts, n) for n in range(1, BLEU_ORDER + 1)]
    return [_bleu(i, [len(text) for text in texts], counts) for i in range(len(texts))]


def ngrams(items: Sequence[Hashable], n: int) -> Iterator[tuple[Hashable, ...]]:
    """Yield every run of n items."""
    return (tuple(items[i : i + n]) for i in range(len(items) - n + 1))


class _Clipping:
    """How often each n-gram stands at most in one of the texts, with any one text left out."""

    def __init__(self, texts: Texts, n: int) -> None:
        self.counts = [Counter(ngrams(text, n)) for text in texts]
        # The two largest counts and who has the first: what remains when one text leaves.
        self._most: dict[Hashable, tuple[int, int, int]] = {}
        for i, counts in enumerate(self.counts):
            for gram, count in counts.items():
                first, owner, second = self._most.get(gram, (0, i, 0))
                if count > first:
                    self._most[gram] = (count, i, first)
                else:
                    self._most[gram] = (first, owner, max(second, count))

    def precision(self, i: int) -> tuple[int, int]:
        """Return the n-grams of text i that others hold too, and how many it has."""
        matches = 0
        for gram, count in self.counts[i].items():
            first, owner, second = self._most[gram]
            matches += min(count, second if owner == i else first)
        return matches, max(1, self.counts[i].total())


def _bleu(i: int, lengths: Sequence[int], counts: Sequence[_Clipping]) -> float | None:
    own = lengths[i]
    others = [length for j, length in enumerate(lengths) if j != i and length]
    if not own or not others:
        return None
    precisions = [one.precision(i) for one in counts]
    if precisions[0][0] == 0:
        return 0.0
    logs = [math.log((matches or BLEU_EPSILON) / total) for matches, total in precisions]
    closest = min(others, key=lambda length: (abs(length - own), length))
    return math.exp(fmean(logs) + min(0.0, 1 - closest / own))


def _factors(words: Sequence[str]) -> float:
    """Return how many stretches the words form, the unfinished last one in part."""
    factors = 0.0
    seen: set[str] = set()
    length = 0
    for word in words:
        seen.add(word)
        length += 1
        if len(seen) / length <= MTLD_THRESHOLD:
            factors += 1
            seen, length = set(), 0
    if length:
        factors += (1 - len(seen) / length) / (1 - MTLD_THRESHOLD)
    return factors
