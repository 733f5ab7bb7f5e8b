"""The tokens of a text as arrays: ids, byte spans, words, cut characters. Torch-free.

A megabyte of text is a quarter of a million tokens, so nothing here is an object per token; what
needs more words than numbers (trees, reasons) is made on demand for one token.
Shapes: n tokens, w words. All offsets are bytes of the UTF-8 form of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core._bpe import split
from core.tokenizer import Tokenizer
from runs.errors import UsageError

Ids = NDArray[np.uint16] | NDArray[np.uint32]
Offsets = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explained:
    """A text and its tokens.

    `cuts_character` is set where a token is not UTF-8 by itself: it begins or ends inside a
    character. `words` holds the index of the word of the split pattern that each token is part of.
    What a pattern does not match has no tokens: it lies between words that do not touch.
    """

    text: str
    data: bytes
    ids: Ids  # [n]
    starts: Offsets  # [n]
    ends: Offsets  # [n]
    words: Offsets  # [n]
    word_starts: Offsets  # [w]
    word_ends: Offsets  # [w]
    cuts_character: Flags  # [n]

    @property
    def num_tokens(self) -> int:
        """Tokens in the text."""
        return len(self.ids)

    @property
    def num_words(self) -> int:
        """Words that the split pattern cuts the text into."""
        return len(self.word_ends)

    @property
    def num_bytes(self) -> int:
        """Bytes of the text in UTF-8."""
        return len(self.data)

    @property
    def num_distinct(self) -> int:
        """Ids that occur at least once."""
        return int(np.count_nonzero(np.bincount(self.ids)))

    def token(self, index: int) -> bytes:
        """Return the bytes of one token."""
        return self.data[int(self.starts[index]) : int(self.ends[index])]

    def cut_indices(self) -> Offsets:
        """Return the indices of the tokens that cut a character."""
        return np.flatnonzero(self.cuts_character).astype(np.int64)

    def word_span(self, word: int) -> tuple[int, int]:
        """Return where a word starts and ends."""
        return int(self.word_starts[word]), int(self.word_ends[word])

    def index_at(self, offset: int) -> int | None:
        """Return the index of the token that holds the byte at `offset`; absent in left-out text.

        Raises:
            UsageError: the text ends before that byte.
        """
        if not 0 <= offset < self.num_bytes:
            raise UsageError(f"byte {offset} is outside the text of {self.num_bytes} bytes")
        index = int(np.searchsorted(self.ends, offset, side="right"))
        return index if index < self.num_tokens and self.starts[index] <= offset else None

    def char_spans(self) -> tuple[Offsets, Offsets]:
        """Return where tokens start and end in characters, int64 [n] each.

        The span covers every character that the token holds at least a byte of, so the spans of
        neighbours that share a character overlap.
        """
        begun = np.cumsum(~_is_inside(self.data), dtype=np.int64)  # characters begun, per byte
        return begun[self.starts] - 1, begun[self.ends - 1]


def explain_text(tokenizer: Tokenizer, text: str) -> Explained:
    """Return the tokens of a text; lone surrogates count as U+FFFD, as they do in encoding."""
    text = whole_characters(text)
    data = text.encode()
    ids, word_ends = tokenizer.bulk.encode_words(text)
    lengths = tokenizer.token_bytes_lengths()[ids]
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = ends - lengths
    if len(ends) == 0 or ends[-1] == len(data):
        word_starts = np.concatenate(([0], word_ends[:-1]))[: len(word_ends)].astype(np.int64)
        words = _words(ends, word_ends, len(data))
    else:
        word_starts, words = _words_with_gaps(starts, word_ends, split(text, tokenizer.pattern))
        starts = starts + _shift(word_starts, word_ends)[words]
        ends = starts + lengths
    return Explained(
        text=text,
        data=data,
        ids=ids,
        starts=starts,
        ends=ends,
        words=words,
        word_starts=word_starts,
        word_ends=word_ends,
        cuts_character=_cuts_character(data, starts, ends),
    )


def whole_characters(text: str) -> str:
    """Return a text that UTF-8 can hold: surrogates become characters in pairs, else U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _words(ends: Offsets, word_ends: Offsets, num_bytes: int) -> Offsets:
    """Return the word of every token, int64 [n]: as many words have ended before it."""
    is_end = np.zeros(num_bytes + 1, dtype=bool)
    is_end[word_ends] = True
    is_last = is_end[ends]
    return np.cumsum(is_last, dtype=np.int64) - is_last


def _words_with_gaps(
    starts: Offsets, word_ends: Offsets, words: Sequence[str]
) -> tuple[Offsets, Offsets]:
    """Return where words start, int64 [w], and the word of every token, int64 [n].

    For patterns that leave text out: `starts` count the bytes of the tokens alone.
    """
    lengths = np.array([len(word.encode()) for word in words], dtype=np.int64)
    indices = np.searchsorted(np.cumsum(lengths), starts, side="right").astype(np.int64)
    return word_ends - lengths, indices


def _shift(word_starts: Offsets, word_ends: Offsets) -> Offsets:
    """Return the bytes that are left out before each word, int64 [w]."""
    lengths = word_ends - word_starts
    return word_starts - (np.cumsum(lengths) - lengths)


def _cuts_character(data: bytes, starts: Offsets, ends: Offsets) -> Flags:
    if data.isascii():
        return np.zeros(len(starts), dtype=bool)
    is_inside = _is_inside(data)
    return is_inside[starts] | is_inside[ends]


def _is_inside(data: bytes) -> Flags:
    """Return where a character goes on, bool [bytes + 1]; the end of the text is no inside."""
    is_inside = np.zeros(len(data) + 1, dtype=bool)
    is_inside[:-1] = (np.frombuffer(data, dtype=np.uint8) & 0xC0) == 0x80
    return is_inside
