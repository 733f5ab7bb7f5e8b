"""BPE training in Rust; the crate is rustbpe/.

Naive BPE over the distinct words of the texts: the most frequent pair of neighbouring ids is
merged, and ties go to the smallest (left id, right id). The result depends on the word counts
alone, not on threads. Counting and merging release the GIL. Lone surrogates count as U+FFFD, as
they do when encoding. Bad patterns and counts that do not fit raise ValueError.
"""

from collections.abc import Callable, Iterable
from typing import final

__all__ = ["Trainer", "WordCounter", "split", "train", "train_words"]

@final
class WordCounter:
    """Counts distinct words, on `num_threads` threads (absent: one per core)."""

    def __new__(
        cls, pattern: str, *, max_chars: int, max_doc_chars: int, num_threads: int | None = None
    ) -> WordCounter: ...
    @property
    def num_docs(self) -> int:
        """Documents read, the last perhaps in part."""
    @property
    def num_chars(self) -> int:
        """Characters read."""
    def feed(self, texts: Iterable[str]) -> bool:
        """Count a batch of documents; return False once `max_chars` is reached."""
    def words(self) -> dict[bytes, int]:
        """Return the words in byte order with their counts."""
    def trainer(self, num_merges: int) -> Trainer:
        """Return a trainer of at most `num_merges` merges; the counter stays usable."""

@final
class Trainer:
    """The merge loop, to be advanced in chunks so that the caller can show progress or stop."""

    @property
    def is_done(self) -> bool:
        """Whether there are enough merges, or no pair is left."""
    def advance(self, limit: int) -> int:
        """Make at most `limit` merges and return how many there are now."""
    def merges(self) -> list[tuple[int, int]]:
        """Return the merges so far: number k makes id 256 + k."""

def train(
    texts: Iterable[str],
    num_merges: int,
    pattern: str,
    *,
    max_chars: int,
    max_doc_chars: int,
    progress: Callable[[int, int], object] | None = None,
) -> list[tuple[int, int]]:
    """Return at most `num_merges` merges learned from `texts`; fewer when no pair is left.

    `progress(done, num_merges)` is called after every few MB read (done is 0) and every few merges;
    what it raises ends the training.
    """

def train_words(word_counts: dict[bytes, int], num_merges: int) -> list[tuple[int, int]]:
    """Return at most `num_merges` merges learned from words that were already counted."""

def split(text: str, pattern: str) -> list[str]:
    """Return the words of a text."""
