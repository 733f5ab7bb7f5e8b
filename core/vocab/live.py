"""Live retraining: vocabularies that change while a person watches. No user interface here.

The words of a text are counted once per pattern, and one trainer stays alive. Vocabularies nest,
so every smaller one is a slice of its merges, and a larger one goes on where it stands.
Torch-free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core._bpe import Trainer
from core.bpe import NUM_BYTES, Pair
from core.tokenizer import SPLIT_PATTERN, Tokenizer
from core.vocab.patterns import pattern_of
from core.vocab.sources import Source
from core.vocab.training import (
    Counted,
    Progress,
    Reading,
    check_vocab_size,
    count_words,
    merge_pairs,
)
from runs.errors import UsageError

MAX_VOCAB_SIZE = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeStep:
    """One merge of the training log.

    `count` is how often the pair stood there when it was merged; `share` is that per byte of
    the text.
    """

    rank: int
    pair: Pair
    left: bytes
    right: bytes
    count: int
    share: float

    @property
    def token(self) -> bytes:
        """What the merge made."""
        return self.left + self.right


class Retrainer:
    """A text and a pattern, with the tokenizers of every size that they give."""

    def __init__(self, sources: Sequence[Source], *, pattern: str = SPLIT_PATTERN) -> None:
        """Take a text; nothing is read before it is needed.

        Raises:
            UsageError: the pattern does not compile.
        """
        self._sources = tuple(sources)
        self._pattern = pattern_of(pattern)
        self._counted: Counted | None = None
        self._trainer: Trainer | None = None
        self._merges: list[Pair] = []
        self._counts: list[int] = []
        self._tokens: list[bytes] = []
        self._num_bytes = 0
        self._clear()

    @property
    def pattern(self) -> str:
        """The split pattern that the words were counted with."""
        return self._pattern

    @property
    def num_merges(self) -> int:
        """Merges that have been learned so far."""
        return len(self._merges)

    @property
    def is_exhausted(self) -> bool:
        """Whether the text has no more pairs, so that no larger vocabulary exists."""
        return self._trainer is not None and self._trainer.is_done

    def set_pattern(
        self,
        pattern: str,
        *,
        progress: Progress | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Count the words of the text anew; return False, and change nothing, when stopped.

        Raises:
            UsageError: the pattern does not compile or finds no word; what was there stays.
        """
        chosen = pattern_of(pattern)
        if chosen == self._pattern and self._counted is not None:
            return True
        return self._count(chosen, progress, stop)

    def train(
        self,
        vocab_size: int,
        *,
        progress: Progress | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> bool:
        """Learn merges for a vocabulary of this size, going on from those that are there.

        Return False when told to stop; the merges learned until then stay.

        Raises:
            UsageError: the size is out of range, or there is no text.
        """
        wanted = check_vocab_size(vocab_size)
        if vocab_size > MAX_VOCAB_SIZE:
            raise UsageError(f"live vocabularies end at {MAX_VOCAB_SIZE} ids, not {vocab_size}")
        if self._counted is None and not self._count(self._pattern, progress, stop):
            return False
        assert self._trainer is not None
        if wanted <= self.num_merges or self.is_exhausted:
            return True
        try:
            return merge_pairs(self._trainer, wanted, progress=progress, stop=stop)
        finally:
            self._take_log(self._trainer)

    def tokenizer(self, vocab_size: int) -> Tokenizer:
        """Return the tokenizer of any size up to the largest that was trained, at once.

        A text that ran out of pairs gives its largest.

        Raises:
            UsageError: the size is too small, or larger than what was trained.
        """
        wanted = check_vocab_size(vocab_size)
        if wanted > self.num_merges and not self.is_exhausted:
            raise UsageError(
                f"{vocab_size} ids are not trained yet; there are "
                f"{self.num_merges + NUM_BYTES + Tokenizer.num_specials}"
            )
        return Tokenizer(self._merges[:wanted], pattern=self._pattern)

    def replay(self, rank: int) -> MergeStep:
        """Return merge number `rank` as it was when it was made.

        Raises:
            UsageError: there is no such merge.
        """
        if not 0 <= rank < self.num_merges:
            raise UsageError(f"there is no merge {rank}; there are {self.num_merges}")
        left, right = self._merges[rank]
        return MergeStep(
            rank=rank,
            pair=(left, right),
            left=self._tokens[left],
            right=self._tokens[right],
            count=self._counts[rank],
            share=self._counts[rank] / max(1, self._num_bytes),
        )

    def compression(self, vocab_sizes: Sequence[int], text: str) -> list[float]:
        """Return the bytes per token of a text for each size; none for an empty text.

        The text is encoded once: a token that a smaller vocabulary lacks counts as the two that
        it was made of. Sizes above the largest give what the largest gives.

        Raises:
            UsageError: a size is too small.
        """
        wanted = [min(check_vocab_size(size), self.num_merges) for size in vocab_sizes]
        num_bytes = len(text.encode("utf-8", "replace"))
        if not num_bytes:
            return []
        numbers = self._tokens_by_merges(text)
        return [num_bytes / int(numbers[merges]) for merges in wanted]

    def _tokens_by_merges(self, text: str) -> NDArray[np.int64]:
        """Return how many tokens a text has after each number of merges, int64 [merges + 1]."""
        largest = Tokenizer(self._merges, pattern=self._pattern)
        uses = largest.bulk.count_tokens([text]).tolist()
        total = sum(uses)
        numbers = np.empty(self.num_merges + 1, np.int64)
        for rank in range(self.num_merges - 1, -1, -1):
            numbers[rank + 1] = total
            # Without this merge, each of its tokens is still the two that it was made of.
            undone = uses[NUM_BYTES + rank]
            left, right = self._merges[rank]
            uses[left] += undone
            uses[right] += undone
            total += undone
        numbers[0] = total
        return numbers

    def _count(
        self, pattern: str, progress: Progress | None, stop: Callable[[], bool] | None
    ) -> bool:
        counted = count_words(self._sources, Reading(pattern=pattern), progress=progress, stop=stop)
        if counted is None:
            return False
        trainer = counted.counter.trainer(check_vocab_size(MAX_VOCAB_SIZE))
        self._clear()
        self._pattern, self._counted, self._trainer = pattern, counted, trainer
        words = counted.counter.words()
        self._num_bytes = sum(len(word) * count for word, count in words.items())
        return True

    def _take_log(self, trainer: Trainer) -> None:
        self._merges = trainer.merges()
        self._counts = trainer.counts().tolist()
        for left, right in self._merges[len(self._tokens) - NUM_BYTES :]:
            self._tokens.append(self._tokens[left] + self._tokens[right])

    def _clear(self) -> None:
        self._merges, self._counts = [], []
        self._tokens = [bytes([value]) for value in range(NUM_BYTES)]
