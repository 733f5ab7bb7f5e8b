"""A shuffle of more text than fits into memory: dealt into buckets by key, then sorted in each.

A document's key depends on the seed and its number alone, and buckets are ranges of keys: the
order is the same for any number of buckets, and so for any amount of memory.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

_KEY_BITS = 64
_SCHEMA = pa.schema([("key", pa.uint64()), ("mark", pa.uint64()), ("text", pa.large_string())])
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
MOST_BUCKETS = 512
_BATCH_DOCS = 1024


@dataclass(slots=True)
class _Bucket:
    """One range of keys: a file, and what is not in it yet."""

    path: Path
    keys: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    num_chars: int = 0
    writer: pa.ipc.RecordBatchStreamWriter | None = None

    def flush(self) -> None:
        if self.texts:
            if self.writer is None:
                self.writer = pa.ipc.new_stream(str(self.path), _SCHEMA, options=_OPTIONS)
            columns = [self.keys, self.marks, self.texts]
            arrays = [
                pa.array(column, type=kind)
                for column, kind in zip(columns, _SCHEMA.types, strict=True)
            ]
            self.writer.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
        self.keys, self.marks, self.texts, self.num_chars = [], [], [], 0

    def close(self) -> None:
        self.flush()
        if self.writer is not None:
            self.writer.close()


class Shuffle:
    """Documents go in one by one, and come out in a seeded order.

    memory_bytes: about what it may hold of the text, half of it while reading and half of it
        while sorting.
    """

    def __init__(
        self, directory: Path, *, seed: int, expected_bytes: float, memory_bytes: int
    ) -> None:
        # Sorting holds a bucket and its documents as strings.
        wanted = math.ceil(4 * expected_bytes / memory_bytes)
        self.num_buckets = max(1, min(MOST_BUCKETS, wanted))
        self.num_docs = 0
        self._seed = seed
        self._flush_chars = max(1 << 14, memory_bytes // (2 * self.num_buckets))
        self._buckets = [
            _Bucket(directory / f"bucket_{number:03d}.arrow") for number in range(self.num_buckets)
        ]

    def add(self, text: str, mark: int) -> None:
        """Take in the next document; `mark` comes out with it."""
        key = stable_hash(f"{self._seed}/{self.num_docs}".encode())
        bucket = self._buckets[key * self.num_buckets >> _KEY_BITS]
        bucket.keys.append(key)
        bucket.marks.append(mark)
        bucket.texts.append(text)
        bucket.num_chars += len(text)
        self.num_docs += 1
        if bucket.num_chars >= self._flush_chars:
            bucket.flush()

    def sorted(self) -> Iterator[tuple[str, int]]:
        """Yield the documents and their marks in the order of their keys; the files go away."""
        for bucket in self._buckets:
            bucket.close()
        for bucket in self._buckets:
            if bucket.writer is None:
                continue
            with pa.ipc.open_stream(str(bucket.path)) as reader:
                table = reader.read_all().combine_chunks()
            bucket.path.unlink()
            order = np.argsort(table["key"].to_numpy(), kind="stable")
            for start in range(0, len(order), _BATCH_DOCS):
                taken = table.take(order[start : start + _BATCH_DOCS])
                yield from zip(taken["text"].to_pylist(), taken["mark"].to_pylist(), strict=True)


def stable_hash(data: bytes) -> int:
    """Return 64 bits that depend on the bytes alone."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
