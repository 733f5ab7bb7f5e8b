"""The encoders that can be measured, each on one thread, a batch of documents at a time.

All of them get the same vocabulary. Peers are imported by name, as in training.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from core.vocab.byte_alphabet import to_chars
from core.vocab.byte_merges import BytesPair
from labcli.bench.job import Job
from labcli.bench.merges import tokens_of
from labcli.bench.tools import BASELINE, OURS
from labcli.bench.training import byte_level_split


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Documents in both forms that encoders take, so that no tool pays for the other's."""

    texts: list[str]
    arrow: Any


class EncodeTool(Protocol):
    """An encoder: building it comes before `encode`, which alone is measured."""

    def __init__(self, job: Job, merges: Sequence[BytesPair]) -> None: ...

    def encode(self, batch: Batch) -> Any:
        """Return the ids of a batch in the tool's own form."""

    def ids(self, result: Any) -> Iterable[bytes]:
        """Yield what `encode` returned as little-endian u32, in order."""


class Read:
    """The baseline: holds a batch and encodes nothing."""

    def __init__(self, job: Job, merges: Sequence[BytesPair]) -> None:
        self._tokens = tokens_of(merges)

    def encode(self, batch: Batch) -> None:
        return None

    def ids(self, result: None) -> Iterable[bytes]:
        return ()


class Labcli:
    """core._bpe: Arrow in, one flat array out."""

    def __init__(self, job: Job, merges: Sequence[BytesPair]) -> None:
        from core._bpe import Encoder

        self._encoder = Encoder(tokens_of(merges), job.pattern)

    def encode(self, batch: Batch) -> Any:
        return self._encoder.encode_arrow(batch.arrow, num_threads=1)

    def ids(self, result: Any) -> Iterable[bytes]:
        yield result[0].astype("<u4", copy=False).tobytes()


class Tiktoken:
    """tiktoken, as lists of Python integers."""

    def __init__(self, job: Job, merges: Sequence[BytesPair]) -> None:
        ranks = {token: rank for rank, token in enumerate(tokens_of(merges))}
        self._encoding = import_module("tiktoken").Encoding(
            "bench", pat_str=job.pattern, mergeable_ranks=ranks, special_tokens={}
        )

    def encode(self, batch: Batch) -> Any:
        return self._encoding.encode_ordinary_batch(batch.texts, num_threads=1)

    def ids(self, result: Any) -> Iterable[bytes]:
        return map(_to_u32, result)


class TiktokenNumpy(Tiktoken):
    """tiktoken, as one numpy array per document."""

    def encode(self, batch: Batch) -> Any:
        encode = self._encoding.encode_to_numpy
        return [encode(text, disallowed_special=()) for text in batch.texts]

    def ids(self, result: Any) -> Iterable[bytes]:
        return (found.astype("<u4", copy=False).tobytes() for found in result)


class Riptoken:
    """riptoken, as lists of Python integers; its batch call would use every core."""

    def __init__(self, job: Job, merges: Sequence[BytesPair]) -> None:
        ranks = {token: rank for rank, token in enumerate(tokens_of(merges))}
        self._encode = import_module("riptoken").CoreBPE(ranks, {}, job.pattern).encode_ordinary

    def encode(self, batch: Batch) -> Any:
        return [self._encode(text) for text in batch.texts]

    def ids(self, result: Any) -> Iterable[bytes]:
        return map(_to_u32, result)


class HuggingFace:
    """Hugging Face tokenizers, with the same merges, as lists of Python integers."""

    def __init__(self, job: Job, merges: Sequence[BytesPair]) -> None:
        tokenizers = import_module("tokenizers")
        model = tokenizers.models.BPE(
            vocab={to_chars(token): rank for rank, token in enumerate(tokens_of(merges))},
            merges=[(to_chars(left), to_chars(right)) for left, right in merges],
        )
        self._tokenizer: Any = tokenizers.Tokenizer(model)
        self._tokenizer.pre_tokenizer = byte_level_split(tokenizers, job.pattern)

    def encode(self, batch: Batch) -> Any:
        found = self._tokenizer.encode_batch_fast(batch.texts, add_special_tokens=False)
        return [encoding.ids for encoding in found]

    def ids(self, result: Any) -> Iterable[bytes]:
        return map(_to_u32, result)


def _to_u32(ids: Sequence[int]) -> bytes:
    held = array("I", ids)
    if sys.byteorder == "big":
        held.byteswap()
    return held.tobytes()


ENCODERS: Mapping[str, type[EncodeTool]] = {
    BASELINE: Read,
    OURS: Labcli,
    "tiktoken": Tiktoken,
    "tiktoken-numpy": TiktokenNumpy,
    "riptoken": Riptoken,
    "tokenizers": HuggingFace,
}
