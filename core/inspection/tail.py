"""Which tokens at the end of a text one more character may still change. Torch-free.

A model that is asked to go on from such tokens sees a segmentation that its training text has
hardly ever had ("token healing" takes them back before sampling).
"""

from __future__ import annotations

from core.inspection.explained import Explained
from core.tokenizer import SPLIT_PATTERN, Tokenizer
from core.vocab.patterns import CL100K_PATTERN, GPT2_PATTERN, GPT4_PATTERN

_UNDERSTOOD = (SPLIT_PATTERN, GPT4_PATTERN, CL100K_PATTERN, GPT2_PATTERN)


def first_unstable(tokenizer: Tokenizer, explained: Explained) -> int | None:
    """Return the first token that any next character might change; absent for other patterns.

    Tokens before it stay, whatever comes next; some of those from it on may stay as well. The next
    character can reach the last word, and the white space that it may be split off from.
    """
    if tokenizer.pattern not in _UNDERSTOOD:
        return None
    word = explained.num_words - 1
    while word > 0 and _is_space(explained, word) and _is_space(explained, word - 1):
        word -= 1
    # GPT-2 takes ' for a word until 're, 've or 'll is complete.
    if word > 0 and tokenizer.pattern == GPT2_PATTERN and _text(explained, word - 1) == "'":
        word -= 1
    return int(explained.words.searchsorted(max(word, 0), side="left"))


def _is_space(explained: Explained, word: int) -> bool:
    return _text(explained, word).isspace()


def _text(explained: Explained, word: int) -> str:
    return explained.data[slice(*explained.word_span(word))].decode()
