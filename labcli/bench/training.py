"""The trainers that can be measured, each driven as its users drive it, on all cores.

Peers are imported by name: they are optional, and each worker process loads one of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from core.bpe import NUM_BYTES
from core.vocab.byte_merges import BytesPair, from_ids
from labcli.bench.job import Job
from labcli.bench.merges import from_tokens, from_written
from labcli.bench.text import arrow_batches, documents
from labcli.bench.tools import BASELINE, OURS

UNLIMITED = 2**62
NO_LENGTH_LIMIT = 2**20


class TrainTool(Protocol):
    """A trainer: importing and setting up come before `train`, which alone is measured."""

    def __init__(self, job: Job) -> None: ...

    def train(self) -> None:
        """Read the text and learn the merges."""

    def merges(self) -> list[BytesPair] | None:
        """Return what was learned; None for the baseline."""


class Read:
    """The baseline: decodes the text and drops it."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def train(self) -> None:
        for _ in documents(self._job.text):
            pass

    def merges(self) -> None:
        return None


class Labcli:
    """core._bpe, as the tok stage uses it."""

    def __init__(self, job: Job) -> None:
        from core._bpe import WordCounter

        self._job = job
        self._counter = WordCounter(job.pattern, max_chars=UNLIMITED, max_doc_chars=UNLIMITED)
        self._merges: list[tuple[int, int]] = []

    def train(self) -> None:
        for array in arrow_batches(self._job.text):
            self._counter.feed_arrow(array)
        trainer = self._counter.trainer(self._job.num_merges)
        while not trainer.is_done:
            trainer.advance(self._job.num_merges)
        self._merges = trainer.merges()

    def merges(self) -> list[BytesPair]:
        return from_ids(self._merges)


class Rustbpe:
    """PyPI's rustbpe, from an iterator of texts."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._tokenizer = import_module("rustbpe").Tokenizer()

    def train(self) -> None:
        self._tokenizer.train_from_iterator(
            documents(self._job.text),
            vocab_size=NUM_BYTES + self._job.num_merges,
            pattern=self._job.pattern,
        )

    def merges(self) -> list[BytesPair]:
        ranks = self._tokenizer.get_mergeable_ranks()
        ordered = sorted(ranks, key=lambda entry: int(entry[1]))
        return from_tokens([bytes(token) for token, _ in ordered])


class HuggingFace:
    """Hugging Face tokenizers, from an iterator of texts."""

    def __init__(self, job: Job) -> None:
        tokenizers = import_module("tokenizers")
        self._job = job
        self._tokenizer: Any = tokenizers.Tokenizer(tokenizers.models.BPE())
        self._tokenizer.pre_tokenizer = byte_level_split(tokenizers, job.pattern)
        self._trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=NUM_BYTES + job.num_merges,
            initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )

    def train(self) -> None:
        self._tokenizer.train_from_iterator(documents(self._job.text), self._trainer)

    def merges(self) -> list[BytesPair]:
        return from_written(json.loads(self._tokenizer.to_str())["model"]["merges"])


class Bpeasy:
    """bpeasy, from an iterator of texts; it answers with ranks, like rustbpe."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._train = import_module("bpeasy").train_bpe
        self._ranks: dict[bytes, int] = {}

    def train(self) -> None:
        num_tokens = NUM_BYTES + self._job.num_merges
        texts = documents(self._job.text)
        self._ranks = self._train(texts, self._job.pattern, NO_LENGTH_LIMIT, num_tokens)

    def merges(self) -> list[BytesPair]:
        return from_tokens(sorted(self._ranks, key=self._ranks.__getitem__))


class Gigabpe:
    """gigabpe: takes files alone, and splits by the GPT-2 pattern alone."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._train = import_module("gigabpe").train_bpe
        self._merges: list[tuple[str, str]] = []

    def train(self) -> None:
        _, self._merges = self._train(
            [self._job.text_file],
            NUM_BYTES + self._job.num_merges,
            pretokenizer="bytelevel",
            special_tokens=[],
        )

    def merges(self) -> list[BytesPair]:
        return from_written(self._merges)


def byte_level_split(tokenizers: Any, pattern: str) -> Any:
    """Return Hugging Face's pre-tokenizer for a split pattern over bytes."""
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated")
    to_bytes = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return tokenizers.pre_tokenizers.Sequence([split, to_bytes])


TRAINERS: Mapping[str, type[TrainTool]] = {
    BASELINE: Read,
    OURS: Labcli,
    "rustbpe": Rustbpe,
    "tokenizers": HuggingFace,
    "bpeasy": Bpeasy,
    "gigabpe": Gigabpe,
}
