"""Documents to train on: made-up words whose frequencies are skewed like those of text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.data.tokens import TokenSplit
from core.tokenizer import Tokenizer
from runs.errors import UsageError

# Enough to fill the buffer that documents are packed from.
NUM_DOCS = 1200
MEAN_TOKENS = 300
NUM_BYTES = 256
_LETTERS = 26
_WORD_LETTERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Texts, and their ids in a vocabulary, without bos."""

    tokenizer: Tokenizer
    texts: tuple[str, ...]
    ids: tuple[npt.NDArray[np.int64], ...]

    def split(self) -> TokenSplit:
        """Return the ids as a token cache holds them: each document after a bos."""
        bos = np.array([self.tokenizer.bos])
        tokens = np.concatenate([part for ids in self.ids for part in (bos, ids)])
        lengths = [len(ids) + 1 for ids in self.ids]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return TokenSplit(arrays=(tokens.astype(np.uint32),), offsets=offsets)


def make_documents(vocab_size: int, *, seed: int = 0, num_docs: int = NUM_DOCS) -> Documents:
    """Return documents of a vocabulary of whole words, which occur by Zipf's law.

    The same arguments give the same documents.

    Raises:
        UsageError: the vocabulary has no room for words beside the bytes and special tokens.
    """
    num_words = vocab_size - NUM_BYTES - Tokenizer.num_specials
    if not 0 < num_words <= _LETTERS**_WORD_LETTERS:
        least = NUM_BYTES + Tokenizer.num_specials + 1
        most = least - 1 + _LETTERS**_WORD_LETTERS
        raise UsageError(f"--vocab takes {least} to {most}, not {vocab_size}")
    words = [_word(number) for number in range(num_words)]
    tokenizer = Tokenizer.from_tokens(
        [bytes([byte]) for byte in range(NUM_BYTES)] + [word.encode() for word in words],
        pattern=r" ?[a-z]+|[^a-z]",
    )
    draw = np.random.default_rng(seed)
    share = 1 / np.arange(1, num_words + 1)
    lengths = np.maximum(1, draw.exponential(MEAN_TOKENS, num_docs).astype(np.int64))
    drawn = draw.choice(num_words, size=int(lengths.sum()), p=share / share.sum())
    parts = np.split(drawn, np.cumsum(lengths)[:-1])
    return Documents(
        tokenizer=tokenizer,
        texts=tuple("".join(words[word] for word in part) for part in parts),
        ids=tuple(part + NUM_BYTES for part in parts),
    )


def _word(number: int) -> str:
    letters = []
    for _ in range(_WORD_LETTERS):
        number, letter = divmod(number, _LETTERS)
        letters.append(chr(ord("a") + letter))
    return " " + "".join(letters)
