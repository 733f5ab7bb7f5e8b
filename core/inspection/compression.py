"""How well tokenizers compress texts: the same texts, the same definitions. Torch-free.

A word, for tokens per word (fertility), is a run of characters without white space, whatever the
split pattern says. Scripts that write no spaces have no words in this sense: compare them with
core.inspection.languages instead. Bytes are those of UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.inspection.explained import whole_characters
from core.inspection.usage import never_used, token_counts
from core.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSize:
    """What there is to compress."""

    num_texts: int
    num_bytes: int
    num_chars: int
    num_words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """What one tokenizer makes of the texts; a ratio is absent where there is nothing to divide.

    `single_byte_share` is the share of tokens that are one byte, `unused_share` the share of the
    vocabulary, specials aside, that does not occur.
    """

    num_tokens: int
    bytes_per_token: float | None
    chars_per_token: float | None
    tokens_per_word: float | None
    single_byte_share: float | None
    unused_share: float
    num_unused: int


def text_size(texts: Sequence[str]) -> TextSize:
    """Return the size of texts in every unit."""
    clean = [whole_characters(text) for text in texts]
    return TextSize(
        num_texts=len(clean),
        num_bytes=sum(len(text.encode()) for text in clean),
        num_chars=sum(map(len, clean)),
        num_words=sum(len(text.split()) for text in clean),
    )


def compression(tokenizer: Tokenizer, texts: Sequence[str], size: TextSize) -> Compression:
    """Return how a tokenizer compresses texts of that size, each encoded on its own."""
    counts = token_counts(tokenizer, texts)
    num_tokens = int(counts.sum())
    num_single = int(counts[tokenizer.token_bytes_lengths() == 1].sum())
    num_unused = len(never_used(tokenizer, counts))
    return Compression(
        num_tokens=num_tokens,
        bytes_per_token=_ratio(size.num_bytes, num_tokens),
        chars_per_token=_ratio(size.num_chars, num_tokens),
        tokens_per_word=_ratio(num_tokens, size.num_words),
        single_byte_share=_ratio(num_single, num_tokens),
        unused_share=num_unused / (tokenizer.vocab_size - tokenizer.num_specials),
        num_unused=num_unused,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyFacts:
    """A vocabulary without any text; lengths are bytes of tokens that are not special."""

    vocab_size: int
    num_specials: int
    num_bytes: int
    length_mean: float
    length_median: float
    length_max: int
    length_counts: tuple[int, ...]
    num_not_utf8: int
    num_with_leading_space: int


def vocabulary_facts(tokenizer: Tokenizer) -> VocabularyFacts:
    """Return the size of a vocabulary and the lengths of its tokens.

    `length_counts[k]` is the number of tokens of k bytes.
    """
    lengths = tokenizer.token_bytes_lengths()[: -tokenizer.num_specials]
    tokens = tokenizer.tokens
    return VocabularyFacts(
        vocab_size=tokenizer.vocab_size,
        num_specials=tokenizer.num_specials,
        num_bytes=int(lengths.sum()),
        length_mean=float(lengths.mean()),
        length_median=float(np.median(lengths)),
        length_max=int(lengths.max()),
        length_counts=tuple(int(count) for count in np.bincount(lengths)),
        num_not_utf8=sum(1 for token in tokens if not _is_utf8(token)),
        num_with_leading_space=sum(1 for token in tokens if token[0] == 0x20 and len(token) > 1),
    )


def num_shared(one: Tokenizer, other: Tokenizer) -> int:
    """Return how many tokens, by their bytes and specials aside, two vocabularies have both."""
    return len(one.mergeable_ranks.keys() & other.mergeable_ranks.keys())


def _is_utf8(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None
