"""The words that spelling and counting ask about: found in the corpus, some held out. Torch-free.

A held-out word occurs in no training conversation of any kind, so that answering for it
takes the skill and not the memory.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

MIN_COUNT = 3
MIN_WORDS = 8
# One word in so many is kept for the test.
HELD_OUT_EVERY = 8

# Words in running text: parts of names such as `os.path` or `read_text` do not count.
_WORD = re.compile(r"(?<![\w.'`$-])[a-z]{3,10}(?![\w'`(=-]|\.\w)")
_ANY_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordSplit:
    """Sorted words to train with, and words that no training conversation holds."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def is_enough(self) -> bool:
        """Whether questions can be made of them."""
        return min(len(self.train), len(self.held_out)) >= MIN_WORDS


def corpus_words(texts: Iterable[str]) -> list[str]:
    """Return the lower-case words of 3 to 10 letters that occur at least three times, sorted."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_WORD.findall(text))
    return sorted(word for word, count in counts.items() if count >= MIN_COUNT)


def split_words(words: Iterable[str], *, fixed_texts: Iterable[str]) -> WordSplit:
    """Return the split by hash; what any conversation's fixed text says is never held out."""
    spoken = words_in(fixed_texts)
    train: list[str] = []
    held_out: list[str] = []
    for word in sorted(words):
        if not _is_candidate(word):
            train.append(word)
        elif word not in spoken:
            held_out.append(word)
    return WordSplit(train=tuple(train), held_out=tuple(held_out))


def words_in(texts: Iterable[str]) -> set[str]:
    """Return every run of letters in the texts, in lower case."""
    return {word for text in texts for word in _ANY_WORD.findall(text.lower())}


def _is_candidate(word: str) -> bool:
    return hashlib.sha256(word.encode()).digest()[0] % HELD_OUT_EVERY == 0
