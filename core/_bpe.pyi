"""BPE training and bulk encoding in Rust; the crate is rustbpe/.

Naive BPE over the distinct words of the texts: the most frequent pair of neighbouring ids is
merged, and ties go to the smallest (left id, right id). The result depends on the word counts
alone, not on threads. Counting and merging release the GIL. Lone surrogates count as U+FFFD, as
they do when encoding. Bad patterns and counts that do not fit raise ValueError.
"""

from collections.abc import Callable, Iterable
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

__all__ = ["Encoder", "Trainer", "WordCounter", "split", "train", "train_words"]

@final
class WordCounter:
    """Counts distinct words, on `num_threads` threads (absent: one per core).

    Limits are in characters; there are none unless given. What `feed`, `feed_arrow` and
    `feed_bytes` return says whether there is room below `max_chars`. Ctrl-C and signal handlers
    that raise end them within a tenth of a second. When one of them raises, the counter can be
    used on, but an unknown part of its texts has been counted; only bytes that are refused leave
    the counter as it was. One thread at a time may use a counter: another one's call raises
    RuntimeError.

    The patterns of GPT-2, of GPT-4 and of the lab have splitters of their own, which take any
    text in linear time and deal even a single long line to all threads. Other patterns run on a
    regex engine: about thirty times slower, a document at a time, and a run of a million
    characters is a ValueError.
    """

    def __new__(
        cls,
        pattern: str,
        *,
        max_chars: int | None = None,
        max_doc_chars: int | None = None,
        num_threads: int | None = None,
    ) -> WordCounter: ...
    @property
    def num_docs(self) -> int:
        """Documents read, the last perhaps in part."""
    @property
    def num_chars(self) -> int:
        """Characters read."""
    @property
    def num_replaced(self) -> int:
        """U+FFFD put in the place of bytes that were not UTF-8."""
    @property
    def num_words(self) -> int:
        """Distinct words so far."""
    @property
    def memory_bytes(self) -> int:
        """Bytes that the tables of words take."""
    def feed(self, texts: Iterable[str]) -> bool:
        """Count documents, of which a few MB are held at a time."""
    def feed_arrow(
        self, array: object, *, errors: Literal["replace", "refuse"] = "replace"
    ) -> bool:
        """Count the rows of a pyarrow array of strings or bytes without copying them.

        Nulls are skipped, chunked arrays are read chunk by chunk. For `errors` see `feed_bytes`;
        a refusal names the row. Arrays of other types are a ValueError.
        """
    def feed_bytes(self, data: Buffer, *, errors: Literal["replace", "refuse"] = "replace") -> bool:
        """Count one document of UTF-8 bytes, which is copied only where Python could change it.

        Bytes that are not UTF-8 count as U+FFFD, as `bytes.decode` would have it, or raise
        ValueError with the offset of the first one. A file that is mapped must not change
        meanwhile.
        """
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
    @property
    def memory_bytes(self) -> int:
        """Bytes of heap memory in use."""
    @property
    def peak_memory_bytes(self) -> int:
        """The most bytes of heap memory that were in use."""
    def advance(self, limit: int) -> int:
        """Make at most `limit` merges and return how many there are now.

        Ctrl-C and other signal handlers that raise end it within a tenth of a second; a merge that
        is interrupted goes on with the next call.
        """
    def merges(self) -> list[tuple[int, int]]:
        """Return the merges so far: number k makes id 256 + k."""
    def merges_array(self) -> NDArray[np.uint32]:
        """Return the merges so far as an array of shape [num_merges, 2]."""
    def counts(self) -> NDArray[np.uint64]:
        """Return how often the pair of each merge occurred when it was merged: never rising."""

@final
class Encoder:
    """A vocabulary and a split pattern, for bulk work: tiktoken's ids in flat arrays.

    The ids are those of tiktoken's `encode_ordinary`, whatever the vocabulary: a word that is a
    token is that token, any other is merged from its bytes, the lowest id first. Special tokens
    are not looked for. Lone surrogates are encoded as U+FFFD.

    Ids are uint16 where they and the prefix are below 65,536, else uint32. The encoder remembers
    the words that it has met, some MB for each thread at work, so that text like the text before
    is faster; any number of Python threads may use it at once. Encoding releases the GIL; Ctrl-C
    and signal handlers that raise end it within a tenth of a second. A pattern that gives up on a
    text is a ValueError; the patterns of GPT-2, of GPT-4 and of the lab never do.
    """

    def __new__(cls, tokens: Iterable[bytes], pattern: str) -> Encoder:
        """Prepare tokens, whose ids are their places, for texts that are split by `pattern`.

        There must be a token for each of the 256 bytes and no two alike; all else goes. An empty
        one is a gap in the ids. A list that will not do is a ValueError, and so is a bad pattern.
        """
    @property
    def num_tokens(self) -> int:
        """Tokens in the list, gaps included."""
    @property
    def memory_bytes(self) -> int:
        """Bytes that the tokens and the remembered words take now."""
    def encode(self, text: str) -> NDArray[np.uint16] | NDArray[np.uint32]:
        """Return the ids of one text."""
    def encode_batch(
        self, texts: Iterable[str], *, prefix: int | None = None, num_threads: int | None = None
    ) -> tuple[NDArray[np.uint16] | NDArray[np.uint32], NDArray[np.int64]]:
        """Return the ids of documents end to end, and where they start and the last one ends.

        `prefix` is an id to put before every document, as a rule a special token's. All documents
        are held at once. Threads (absent: one per core) share them out by bytes, and large ones
        among themselves if the pattern is a known one; the ids do not depend on that.
        """
    def encode_arrow(
        self, array: object, *, prefix: int | None = None, num_threads: int | None = None
    ) -> tuple[NDArray[np.uint16] | NDArray[np.uint32], NDArray[np.int64]]:
        """As `encode_batch` for a pyarrow array of strings, which is not copied.

        A null is an empty document. Bytes that are not UTF-8 are a ValueError that names the row,
        and so is an array of another type.
        """
    def encode_words(
        self, text: str
    ) -> tuple[NDArray[np.uint16] | NDArray[np.uint32], NDArray[np.int64]]:
        """Return the ids of one text, and the byte offsets at which its words end.

        A word is what the pattern finds: no token crosses its border.
        """
    def count_tokens(
        self, texts: Iterable[str], *, num_threads: int | None = None
    ) -> NDArray[np.int64]:
        """Return how often each id occurs in documents, without keeping their ids."""

def train(
    texts: Iterable[str],
    num_merges: int,
    pattern: str,
    *,
    max_chars: int | None = None,
    max_doc_chars: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[tuple[int, int]]:
    """Return at most `num_merges` merges learned from `texts`; fewer when no pair is left.

    The limits are in characters; there are none unless given. `progress(done, num_merges)` is
    called after every few MB read (done is 0) and every few merges; what it raises ends the
    training.
    """

def train_words(word_counts: dict[bytes, int], num_merges: int) -> list[tuple[int, int]]:
    """Return at most `num_merges` merges learned from words that were already counted."""

def split(text: str, pattern: str) -> list[str]:
    """Return the words of a text."""
