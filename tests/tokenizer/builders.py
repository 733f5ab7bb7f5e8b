"""Texts that are hard to split, corpora full of ties, and trained tokenizers."""

from __future__ import annotations

from hypothesis import strategies as st

from core import _bpe
from core.tokenizer import SPLIT_PATTERN, Tokenizer

# Long s matches (?i:s); the others are white space, digits, marks and line breaks of every kind.
TRICKY = [
    *"aZsSdmtlLvVrReE'17 \t\r\n!?.,-_#",
    *"\u017f\u212a\u00df\u0130\u00e9\u0301\u5b57\u0663\u2167\u00bd\U0001f642\U0001d7d8",
    *"\u00a0\u0085\u3000\u2028\u200b\u200d\ufeff\x00\x1c\x0b\x7f",
    "'ll", "'VE", "'re", "\r\n", "  ", "<|bos|>", "<|user_start|>",
]  # fmt: skip
tricky_text = st.lists(
    st.one_of(st.sampled_from(TRICKY), st.characters(exclude_categories=["Cs"])), max_size=40
).map("".join)

few_letters = st.lists(st.sampled_from(b"abc"), min_size=1, max_size=14).map(bytes)
word_counts = st.dictionaries(few_letters, st.integers(1, 3), max_size=8)

SENTENCES = (
    "The tokenizer learns that the same words come again and again.",
    "In 2025 there were 1234 reasons, and it's only the start!\n\n",
    "    def tokenizer(self, words):\r\n        return self.words\n",
    "Gr\u00fc\u00dfe aus K\u00f6ln, \u4f60\u597d \u4e16\u754c \U0001f642\U0001f642",
)


def trained(num_merges: int = 200, texts: tuple[str, ...] = SENTENCES) -> Tokenizer:
    """Return a tokenizer of at most `num_merges` merges."""
    return Tokenizer(train(texts, num_merges))


def train(texts: tuple[str, ...] | list[str], num_merges: int) -> list[tuple[int, int]]:
    """Return merges learned without limits on the text."""
    return _bpe.train(iter(texts), num_merges, SPLIT_PATTERN)
