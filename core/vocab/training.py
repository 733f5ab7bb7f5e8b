"""A tokenizer trained on files: texts read, words counted, pairs merged. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core._bpe import Trainer, WordCounter
from core.bpe import NUM_BYTES
from core.tokenizer import SPLIT_PATTERN, Tokenizer
from core.vocab.patterns import pattern_of
from core.vocab.reading import Errors, Reader
from core.vocab.sources import Source
from runs.errors import UsageError

# Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, float, float], object]
MIN_VOCAB_SIZE = NUM_BYTES + Tokenizer.num_specials
# The merge loop looks at `stop` about this often: some milliseconds on a small corpus.
NUM_MERGE_REPORTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How texts are read.

    pattern: the name of a split pattern, or the pattern.
    max_chars: characters to read at most.
    max_doc_chars: characters to read of one document at most.
    errors: whether bytes that are not UTF-8 become U+FFFD or end the training.
    column: the column of parquet files, and the key of JSON lines, that holds the text.
    """

    pattern: str = SPLIT_PATTERN
    max_chars: int | None = None
    max_doc_chars: int | None = None
    errors: Errors = "replace"
    column: str = "text"


WHOLE = Reading()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The words of a text, the start of the text, and how often U+FFFD replaced bytes."""

    counter: WordCounter
    sample: str
    num_replaced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A tokenizer and what its training was like; `memory_bytes` is what words and merges took."""

    tokenizer: Tokenizer
    num_docs: int
    num_chars: int
    num_words: int
    num_replaced: int
    bytes_per_token: float
    memory_bytes: int


def train_tokenizer(
    sources: Sequence[Source],
    *,
    vocab_size: int,
    reading: Reading = WHOLE,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Trained | None:
    """Return a tokenizer of at most `vocab_size` ids; None when told to stop.

    Args:
        sources: where the text is; core.vocab.sources finds them.
        vocab_size: ids, the bytes and the special tokens among them.
        reading: how they are read, whole unless it says otherwise.
        progress: told now and then.
        stop: asked now and then.

    Raises:
        UsageError: there is no text, the vocabulary is too small, the pattern does not compile.
        Corrupt: a file is damaged.
    """
    num_merges = check_vocab_size(vocab_size)
    counted = count_words(sources, reading, progress=progress, stop=stop)
    if counted is None:
        return None
    counter = counted.counter
    trainer = counter.trainer(num_merges)
    if not merge_pairs(trainer, num_merges, progress=progress, stop=stop):
        return None
    facts = {"num_docs": counter.num_docs, "num_chars": counter.num_chars}
    if reading.max_doc_chars is not None:
        facts["max_doc_chars"] = reading.max_doc_chars
    pattern = pattern_of(reading.pattern)
    tokenizer = Tokenizer(trainer.merges(), pattern=pattern, trained_on=facts)
    return Trained(
        tokenizer=tokenizer,
        num_docs=counter.num_docs,
        num_chars=counter.num_chars,
        num_words=counter.num_words,
        num_replaced=counted.num_replaced,
        bytes_per_token=_bytes_per_token(tokenizer, counted.sample),
        memory_bytes=counter.memory_bytes + trainer.memory_bytes,
    )


def check_vocab_size(vocab_size: int) -> int:
    """Return how many merges a vocabulary of this size has, or raise UsageError."""
    if vocab_size < MIN_VOCAB_SIZE:
        raise UsageError(
            f"a vocabulary of {vocab_size} ids is too small; the least is {MIN_VOCAB_SIZE}: "
            f"{NUM_BYTES} bytes and {Tokenizer.num_specials} special tokens"
        )
    return vocab_size - MIN_VOCAB_SIZE


def count_words(
    sources: Sequence[Source],
    reading: Reading = WHOLE,
    *,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Counted | None:
    """Return the words of all sources; None when told to stop. See `train_tokenizer`."""
    counter = WordCounter(
        pattern_of(reading.pattern),
        max_chars=reading.max_chars,
        max_doc_chars=reading.max_doc_chars,
    )
    reader = Reader(counter, errors=reading.errors, column=reading.column)
    total = sum(source.num_bytes for source in sources)
    done = 0
    for source in sources:
        for share in reader.read(source):
            if stop is not None and stop():
                return None
            if progress is not None:
                progress("counting words", done + share * source.num_bytes, total)
            if reader.is_enough:
                break
        if reader.is_enough:
            break
        done += source.num_bytes
    if not counter.num_words:
        names = ", ".join(source.name for source in sources[:3]) or "nothing"
        raise UsageError(f"there is no text to train on in {names}")
    return Counted(counter=counter, sample=reader.sample, num_replaced=reader.num_replaced)


def merge_pairs(
    trainer: Trainer,
    num_merges: int,
    *,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> bool:
    """Advance a trainer to `num_merges`, or as far as there are pairs; False when told to stop."""
    step = max(1, num_merges // NUM_MERGE_REPORTS)
    done = trainer.advance(0)
    while done < num_merges and not trainer.is_done:
        if stop is not None and stop():
            return False
        done = trainer.advance(min(step, num_merges - done))
        if progress is not None:
            progress("merging pairs", done, num_merges)
    return True


def _bytes_per_token(tokenizer: Tokenizer, sample: str) -> float:
    return len(sample.encode("utf-8", "replace")) / max(1, len(tokenizer.bulk.encode(sample)))
